"""The group of all commands; the module of a command is imported when the command is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

import click

from mlops_assets import __version__

COMMANDS = {
    "audit": (
        "mlops_assets.cli.feedback:audit",
        "Write the rows of a day that were drawn for people to label, as CSV; "
        "fill in label, who, when, and hand it in.",
    ),
    "card": ("mlops_assets.cli.models:card", "Show the model card of a version, by default of the champion."),
    "deliver": (
        "mlops_assets.cli.deliver:deliver",
        "Deliver what is published to the targets of a use case, where it is not there yet.",
    ),
    "demo": (
        "mlops_assets.cli.starting:demo",
        "Run every use case on sample days that end yesterday; the day's last files have no labels and some are dirty.",
    ),
    "dev": (
        "mlops_assets.cli.starting:dev",
        "Start Dagster's UI and daemon on the use cases, and the API on loopback.",
    ),
    "diff": (
        "mlops_assets.cli.diff:diff",
        "Show what a version would change on real files, or what has changed: rows, classes, money, and who is right.",
    ),
    "drift": (
        "mlops_assets.cli.drift:drift",
        "Show how published days differ from what their model learned from: what is red, its rows, and what to do.",
    ),
    "export": (
        "mlops_assets.cli.export:export",
        "Write a folder that serves one version and needs nothing of the platform; it is the context of an image, too.",
    ),
    "feedback": (
        "mlops_assets.cli.feedback:feedback",
        "Hand in corrections, CSV files with day, file, line, label, who, when; take in all, and tell which count.",
    ),
    "history": (
        "mlops_assets.cli.models:history",
        "Show which version was champion when, who changed it or refused one and why; and all versions there are.",
    ),
    "import": (
        "mlops_assets.cli.importing:import_",
        "Make raw files of tables: cut by key and calendar month, or put into a day as they are.",
    ),
    "init": (
        "mlops_assets.cli.repository:init",
        "Make a repository with a use case: YAML, SQL, tests, CI, compose file, and the version it needs.",
    ),
    "kept": (
        "mlops_assets.cli.kept:kept",
        "Show what is kept of the raw files of days, and what of it nothing refers to; `source.keep` has them kept.",
    ),
    "new": (
        "mlops_assets.cli.drafting:new",
        "Write the folder of a new use case for a table: "
        "contract, features, candidates and gate are guessed and shown.",
    ),
    "predictions": (
        "mlops_assets.cli.days:predictions",
        "Read published predictions: day, file, line, account_id, prediction, probability, model_version.",
    ),
    "preview": (
        "mlops_assets.cli.days:preview",
        "Show what `run` would do and why: shards, rows, minutes, disk and money, by earlier days or some files.",
    ),
    "profile": (
        "mlops_assets.cli.profile:profile",
        "Show what the columns of a day's rows look like, what they tell of the label, what is odd; "
        "and what they mean.",
    ),
    "promote": ("mlops_assets.cli.models:promote", "Make a version the champion."),
    "rebuild": (
        "mlops_assets.cli.models:rebuild",
        "Make a version again from its card, and see whether it is the same, byte by byte; nothing is registered.",
    ),
    "refuse": (
        "mlops_assets.cli.models:refuse",
        "Decide against a version that waits for a person; it stays, and nobody is asked about it again.",
    ),
    "register": (
        "mlops_assets.cli.models:register",
        "Make a version of a model from elsewhere; it passes the same gate as a trained one.",
    ),
    "rejects": (
        "mlops_assets.cli.days:rejects",
        "Read the refused lines and files: day, file, line (empty for a whole file), rule, message, raw.",
    ),
    "replay": (
        "mlops_assets.cli.replay:replay",
        "Put rejected lines, mended by hand in a file that `rejects` wrote, into their days as files of their own.",
    ),
    "restore": (
        "mlops_assets.cli.models:restore",
        "Publish a day's predictions again as they were at some time; `keep_days` says how far back that goes.",
    ),
    "retro-score": (
        "mlops_assets.cli.retro:retro_score",
        "Score past days again by the champion, or put them back after a rollback: whatever of that is left to do.",
    ),
    "rollback": (
        "mlops_assets.cli.models:rollback",
        "Make the champion before the present one the champion again.",
    ),
    "rows": (
        "mlops_assets.cli.rows:rows",
        "Read the good rows of days: day, file, line, and the columns of the contract.",
    ),
    "run": (
        "mlops_assets.cli.days:run",
        "Materialise days through Dagster, from raw files to published predictions.",
    ),
    "sample": ("mlops_assets.cli.days:sample", "Write sample files in the format of a use case."),
    "serve": (
        "mlops_assets.cli.serve:serve",
        "Answer requests in milliseconds, by the champions of the use cases; all of them by default.",
    ),
    "status": (
        "mlops_assets.cli.days:status",
        "Show the days of a use case with their accounting, and its champion; without a name, a line a use case.",
    ),
    "tell": (
        "mlops_assets.cli.tell:tell",
        "Tell the channels of a use case what is new, as the daemon does every half minute; or send them a test.",
    ),
    "upgrade": (
        "mlops_assets.cli.upgrade:upgrade",
        "Bring what an earlier version wrote into the form of today, after a backup of it.",
    ),
    "verify": (
        "mlops_assets.cli.verify:verify",
        "Read everything that is stored of a use case, and say what is not as it was written.",
    ),
    "why": (
        "mlops_assets.cli.why:why",
        "Show why a row got its category: "
        "raw line, cleaned values, features, model, run, and the answer computed again.",
    ),
}
"""Where each command is, and what it says of itself first: so `--help` need not import it."""


class LazyCommands(Mapping[str, click.Command]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS


class LazyGroup(click.Group):
    """A group that lists its commands without importing them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands as click does."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            commands = [(name, click.Command(name, help=text)) for name, (_, text) in COMMANDS.items()]
            formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in commands])


@click.group(
    cls=LazyGroup,
    commands=LazyCommands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="mlops-assets")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Daily predictions for folders of raw files.

    \b
    A first run, on sample files:
      mlops-assets sample transactions --day 2026-01-01 --days 3
      mlops-assets run transactions --train
      mlops-assets status transactions
      mlops-assets predictions transactions --day 2026-01-03
    """
