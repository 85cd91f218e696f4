"""The commands of a model's life: register, promote, refuse, rollback, history, card, rebuild, restore."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Day, Moment, asked_day, find, published_at, show_progress
from mlops_assets.cli.outputs import output_options
from mlops_assets.cli.retro import put_back
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.workspace import Stores

_why = click.option("--why", required=True, help="Reason, for the history.")
_format = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)


@click.command()
@click.argument("use_case")
@click.argument("model")
@click.option("--classes", default="", help="Labels in the order of its probabilities, between commas or as JSON.")
@click.option("--columns", default="", help="Columns that it takes, in its order, between commas or as JSON.")
@click.option("--module", default="", help="With safetensors: import path of the network's class.")
@click.option("--parameters", default="", help="With safetensors: further arguments of that class, as JSON.")
def register(use_case: str, model: str, classes: str, columns: str, module: str, parameters: str) -> None:
    """Make a version of a model from elsewhere; it passes the same gate as a trained one.

    It is judged on the held-out rows of the newest training, and becomes champion if gate and `promotion` say so. Taken
    is what holds no code: what MLflow's flavours of XGBoost, LightGBM, CatBoost and ONNX logged, and scikit-learn's in
    skops' format, with a signature whose columns are those of features.sql; ONNX files; and the weights of a network of
    PyTorch as safetensors, in a file or logged beside MLflow's own form, whose class is named in `training.trusted`.

    \b
    Examples:
      mlops-assets register transactions models:/my_model/3
      mlops-assets register transactions runs:/0a1b2c3d4e5f/model
      mlops-assets register loan_approval model.onnx --classes Rejected,Approved
      mlops-assets register loan_approval net.safetensors --module my_net.Net --classes Rejected,Approved
    """
    from mlops_assets.journey.train.from_file import said_of
    from mlops_assets.registering import register_elsewhere
    from mlops_assets.views import diffs
    from mlops_assets.work.engines import Engines

    stores = find(use_case)
    show_progress()
    with Engines(stores.settings) as engines:
        said = said_of(classes, columns, module, parameters)
        done = register_elsewhere(stores, model, engines.of(stores.use_case), said)
    number, name = done.version.version, stores.use_case.name
    if done.before:
        click.echo(f"{model} is version {number} of {name} already: {done.version.about.reason}")
        promote_it = f"`mlops-assets promote {name} {number} --why ...` makes it champion."
        click.echo("It is champion." if done.champion else f"It is not champion: {promote_it}")
        return
    click.echo(f"{model} is version {number} of {name}: {done.version.about.reason}")
    if done.changes is not None:
        click.echo(f"\nAgainst the champion of before, version {done.changes.before}, on {done.changes.day}:\n")
        click.echo(diffs.text(done.changes))
    if done.champion:
        click.echo(f"It is champion of {name} now. Days are scored by it from now on.")
    elif done.waits:
        click.echo(f"It is not champion: {done.waits}. `mlops-assets promote {name} {number} --why ...` makes it so.")
    else:
        click.echo(f"It is not champion. `mlops-assets card {name} {number}` shows what it was judged by.")


@click.command()
@click.argument("use_case")
@click.argument("version", type=int)
@_why
@click.option("--override", is_flag=True, help="Promote it although the gate refused it; the history says so.")
def promote(use_case: str, version: int, why: str, override: bool) -> None:
    """Make a version the champion.

    \b
    Example:
      mlops-assets promote transactions 3 --why "better on small accounts, see diff"
    """
    from mlops_assets.journey.model import changing

    stores = find(use_case)
    done = changing.promote(stores.registry, stores.use_case, version, stores.settings.user, why, override=override)
    _tell_trouble(done.trouble)
    change = done.change
    if done.already:
        since = f"since {change.when[:19]} by {change.who}: {change.why}"
        click.echo(f"Version {version} is champion of {use_case} already, {since}")
        return
    before = f", before it was {change.before}" if change.before else ""
    click.echo(f"Version {change.version} is champion of {use_case} now{before}. Days are scored by it from now on.")
    if change.retro_score:
        span = change.retro_score.replace("/", " to ")
        click.echo(
            f"Published days of {span} are scored again by it: by Dagster's daemon, which begins with that soon,"
        )
        click.echo(f"or by `mlops-assets retro-score {use_case}`.")


@click.command()
@click.argument("use_case")
@click.argument("version", type=int)
@_why
def refuse(use_case: str, version: int, why: str) -> None:
    """Decide against a version that waits for a person; it stays, and nobody is asked about it again.

    \b
    Example:
      mlops-assets refuse transactions 3 --why "worse on restaurants, see diff"
    """
    from mlops_assets.journey.model import changing

    stores = find(use_case)
    changing.refuse(stores.registry, stores.use_case, version, stores.settings.user, why)
    click.echo(f"Version {version} of {use_case} is refused, and the champion stays. `promote` overrules that.")


@click.command()
@click.argument("use_case")
@_why
def rollback(use_case: str, why: str) -> None:
    """Make the champion before the present one the champion again.

    Days that were scored again after its promotion are published as they were before, file by file. Those that came or
    were run since stay as they are, and are named.

    \b
    Example:
      mlops-assets rollback transactions --why "too many restaurants since Monday"
    """
    from mlops_assets.journey.model import changing

    stores = find(use_case)
    done = changing.roll_back(stores.registry, stores.use_case, stores.settings.user, why)
    _tell_trouble(done.trouble)
    change = done.change
    if done.already:
        click.echo(f"Version {change.version} is champion of {use_case} again already, since {change.when[:19]}: {why}")
        click.echo("To go back one champion more, give another reason.")
    else:
        click.echo(f"Version {change.version} is champion of {use_case} again, instead of {change.before}.")
    # also if it was done before: a rollback that was killed is given again
    put_back(stores)


@click.command()
@click.argument("use_case")
@_format
def history(use_case: str, form: str) -> None:
    """Show which version was champion when, who changed it or refused one and why; and all versions there are.

    \b
    Example:
      mlops-assets history transactions
    """
    from mlops_assets.journey.model.changing import follow
    from mlops_assets.views import histories

    stores = find(use_case)
    _tell_trouble(follow(stores.registry, use_case))
    changes, refusals = stores.history.changes(), stores.history.refusals()
    known = histories.Known(changes, {}, refusals, histories.retro_scores(stores))
    trouble = stores.registry.trouble(use_case)
    try:
        known = replace(known, versions=stores.registry.known(use_case))
    except MlopsError as error:  # what was decided lies in the lake
        trouble = trouble or str(error)
    if trouble:
        click.echo(trouble, err=True)
    if form == "json":
        click.echo(histories.as_json(known))
        return
    if not known.versions and not known.changes:
        raise MlopsError(f"{use_case} has no versions yet: `mlops-assets run {use_case} --train`.")
    click.echo(histories.text(known, stores.use_case.training.metric))


def _tell_trouble(trouble: str) -> None:
    if trouble:
        click.echo(trouble, err=True)


@click.command()
@click.argument("use_case")
@click.argument("version", type=int, required=False)
@output_options("markdown", "html")
def card(use_case: str, version: int | None, form: str, output: Path | None) -> None:
    """Show the model card of a version, by default of the champion.

    \b
    Example:
      mlops-assets card transactions 3 -o card.html
    """
    from mlops_assets.views import card as cards
    from mlops_assets.views import card_page
    from mlops_assets.views import output as writing

    stores = find(use_case)
    chosen = stores.registry.version(use_case, version) if version else stores.champion()
    if chosen is None:
        raise MlopsError(f"{use_case} has no champion; name a version: `mlops-assets history {use_case}` has all.")
    shown = {"markdown": cards.render, "html": card_page.page}[form]
    text = shown(chosen.details(), chosen.version)
    if output is None:
        click.echo(text)
    else:
        writing.write_text(output, text)
        click.echo(f"Wrote {output}", err=True)


@click.command()
@click.argument("use_case")
@click.argument("version", type=int)
def rebuild(use_case: str, version: int) -> None:
    """Make a version again from its card, and see whether it is the same, byte by byte; nothing is registered.

    \b
    Example:
      mlops-assets rebuild transactions 3
    """
    from tempfile import TemporaryDirectory

    from mlops_assets.journey.train.versions import rebuild as make_again

    stores = find(use_case)
    chosen = stores.registry.version(use_case, version)
    with TemporaryDirectory() as folder:
        done = make_again(chosen, stores.lake, Path(folder), stores.use_case)
    changed = f" Changed since: {'; '.join(done.differences)}." if done.differences else ""
    if not done.equal:
        raise MlopsError(f"Version {version} of {use_case} came out different.{changed or ' Nothing known changed.'}")
    click.echo(f"Version {version} of {use_case} was made again: both models are the same, byte by byte.{changed}")


@click.command()
@click.argument("use_case")
@click.option("--day", type=Day(), required=True, help="The day.")
@click.option("--as-published-on", "moment", type=Moment(), required=True, help="UTC time, or a day for its end.")
def restore(use_case: str, day: str, moment: dt.datetime) -> None:
    """Publish a day's predictions again as they were at some time; `keep_days` says how far back that goes.

    \b
    Example:
      mlops-assets restore transactions --day 2026-01-03 --as-published-on 2026-01-20
    """
    from mlops_assets.journey.score.restoring import restore_day

    stores = find(use_case)
    day = asked_day(stores.use_case, day)
    then = published_at(stores.lake.predictions, day, moment)
    done = restore_day(stores.lake, day, then, stores.settings.user)
    version, rows = then.accounting.model_version, then.accounting.predictions
    what = "are published again" if done else "are what is published now"
    click.echo(f"{rows:,} predictions of {day} by version {version} {what}.")
    _judge_again(stores, day)


def _judge_again(stores: Stores, day: str) -> None:
    """Say of a restored day what is to be said, as the run of a day does: what was kept is of another publication."""
    from mlops_assets.monitoring.kept import read_verdict
    from mlops_assets.monitoring.verdicts import NotWatched, Watcher

    if not stores.use_case.drift.watch or read_verdict(stores.use_case, stores.lake, day) is not None:
        return
    try:
        click.echo(f"{day}: {Watcher(stores).judge_and_keep(day).sentence}")
    except NotWatched:
        return
    except MlopsError as error:  # it is restored, whatever becomes of its watching
        click.echo(f"{day} is not judged beside what its model learned from: {error}", err=True)
