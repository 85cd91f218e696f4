"""The command `retro-score`, and what `rollback` says of days that it puts back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import Day, find, show_progress
from mlops_assets.errors import MlopsError, UsageError

if TYPE_CHECKING:
    from mlops_assets.journey.explain.retro.standing import Standing
    from mlops_assets.workspace import Stores


@click.command("retro-score")
@click.argument("use_case")
@click.option("--from", "first", type=Day(), help="First day, where the promotion names none or others.")
@click.option("--to", "last", type=Day(), help="Last day.")
@click.option("--again", is_flag=True, help="Try once more what failed, and look anew at `promotion.most_changed`.")
@click.option("--publish", "why", metavar="WHY", help="Publish what was scored although too much of it changes.")
def retro_score(use_case: str, first: str | None, last: str | None, again: bool, why: str | None) -> None:
    """Score past days again by the champion, or put them back after a rollback: whatever of that is left to do.

    The days are those of `promotion.retro_score` before the promotion. Ctrl-C stops; given again, it goes on. What was
    published before stays readable, `rollback` publishes it again, and `diff` shows what differs.

    \b
    Examples:
      mlops-assets retro-score transactions
      mlops-assets retro-score transactions --from 2026-01-01 --to 2026-01-31
      mlops-assets retro-score transactions --publish "looked at the diff with the accountants"
    """
    from mlops_assets.journey.explain.retro.done import say
    from mlops_assets.registering.retro_scoring import RetroScoring
    from mlops_assets.work.engines import Engines

    stores = find(use_case)
    if why is not None and not why.strip():
        raise UsageError("--publish: say why, as it is kept.")
    if stores.history.latest() is None:
        raise MlopsError(stores.why_no_champion())
    if first or last:
        _name_days(stores, first, last)
    show_progress()
    with Engines(stores.settings) as engines:
        work = RetroScoring(stores, engines, f"retro-score by {stores.settings.user}")
        if why is not None:
            work.accept(stores.settings.user, why)
        done = work.go_on(again=again)
    said = [*say(done, use_case)]
    for line in said:
        click.echo(line)
    _tell(stores, done.standing, nothing=not said)
    if done.problems:
        raise MlopsError(f"{len(done.problems)} days of {use_case} need a person: see above.")


def _name_days(stores: Stores, first: str | None, last: str | None) -> None:
    """Have other days scored again by the champion than its promotion says."""
    from mlops_assets.journey.explain.retro.records import ask_for_days
    from mlops_assets.journey.read.rhythm import check_rhythm
    from mlops_assets.use_case.partitions import read_range

    check_rhythm(stores.use_case, stores.lake)
    first, last = read_range(stores.use_case.partitions, first, last)
    if first is None or last is None or first > last:
        raise UsageError("Give --from and --to, the first and the last day that shall be scored again.")
    change = stores.history.latest()
    if change is None:
        raise MlopsError(stores.why_no_champion())
    ask_for_days(stores.lake, change.number, f"{first}/{last}", stores.settings.user)


def _tell(stores: Stores, standing: Standing | None, *, nothing: bool) -> None:
    """How it stands, and what there is to do."""
    from mlops_assets.journey.explain.retro.done import ways
    from mlops_assets.views.retro import sentence

    name = stores.use_case.name
    if standing is None:
        if nothing:
            click.echo(f"No day of {name} is to be scored again: its champion was made so without `retro_score`.")
        return
    click.echo(sentence(standing, stores.use_case))
    if standing.decision is not None and not standing.decision.publish and standing.having("held"):
        click.echo(f"What was published stays: {standing.decision.why}. {ways(name)}")


def put_back(stores: Stores) -> None:
    """After a rollback: publish days as they were before the change that was taken back."""
    from mlops_assets.journey.explain.retro.done import say
    from mlops_assets.registering.retro_scoring import RetroScoring
    from mlops_assets.work.engines import Engines

    with Engines(stores.settings) as engines:
        done = RetroScoring(stores, engines, f"rollback by {stores.settings.user}").after_rollback()
    for line in say(done, stores.use_case.name):
        click.echo(line)
    if done.lost:
        raise MlopsError(f"{len(done.lost)} days could not be put back without scoring them: see above.")
