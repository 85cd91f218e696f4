"""The command `serve`."""

from __future__ import annotations

import math
import sys

import click


@click.command()
@click.argument("use_cases", metavar="[USE_CASE]...", nargs=-1)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but loopback needs MLOPS_API_KEYS.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of the API.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the port."
)
@click.option(
    "--drain", type=click.IntRange(1, 600), default=20, show_default=True, help="Seconds for open answers at the end."
)
@click.option("--new-key", "named", metavar="NAME", help="Make a key for somebody, show it once, and start nothing.")
@click.option("--rights", default="read,predict", show_default=True, help="Of --new-key: read, predict, write.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Of --new-key: requests a second. [default: any]")
@click.option("--shared", is_flag=True, hidden=True, help="One of the processes that share a port.")
def serve(
    use_cases: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    drain: int,
    named: str | None,
    rights: str,
    rate: float | None,
    shared: bool,
) -> None:
    """Answer requests in milliseconds, by the champions of the use cases; all of them by default.

    \b
    Example:
      mlops-assets serve transactions
      curl -F file=@some.csv http://127.0.0.1:8000/v1/use-cases/transactions/predictions
    """
    if named is not None:
        _make_key(named, rights, math.inf if rate is None else rate)
        return
    from mlops_assets.tools.serving import Wanted, answer, share

    wanted = Wanted(use_cases, host, port, workers, drain)
    if workers > 1:
        share(wanted, lambda line: click.echo(line, err=True))
    else:
        answer(wanted, lambda line: click.echo(line, err=True), _print_line, shared=shared)


def _print_line(line: str) -> None:
    """A line of the log of requests."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _make_key(name: str, rights: str, rate: float) -> None:
    from mlops_assets.serving.entrance.keys import new_key, parse_rights

    token, key = new_key(name, parse_rights(rights, "--rights"), rate)
    click.echo(f"The key of {name}, shown once; send it as `Authorization: Bearer KEY`:\n  {token}", err=True)
    click.echo("Its entry for MLOPS_API_KEYS, which holds a hash of it; entries stand with blanks between:", err=True)
    click.echo(key.entry)
