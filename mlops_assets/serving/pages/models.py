"""`/pages/{use_case}/models`: the versions, a card, two side by side; and who has the right to write decides here."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.errors.redaction import without_paths
from mlops_assets.journey.model.version import Version
from mlops_assets.serving import starting
from mlops_assets.serving.bodies.query import day, one_of, read_query, whole
from mlops_assets.serving.comparing import Comparer
from mlops_assets.serving.dagster import NoDagster, NotLaunched
from mlops_assets.serving.pages.site import Page, Site, go_to, small_form, who
from mlops_assets.serving.pages.standing import standing
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.run_checks import check_promotion, check_rollback, refuse
from mlops_assets.serving.service import caller_of
from mlops_assets.views import card_page, diff_page, histories, models_page
from mlops_assets.views.html.addresses import page_address
from mlops_assets.views.use_cases import why_none
from mlops_assets.workspace import Stores

LONGEST = 1_000
"""Signs of a reason."""
DAYS = 60
"""Days that are offered to compare on, the newest ones."""

Form = Mapping[str, str]


def routes(site: Site) -> Sequence[BaseRoute]:
    """The routes."""
    pages = _Models(site)
    return [
        Page("/{use_case}/models", pages.every),
        Page("/{use_case}/models/diff", pages.diff),
        Page("/{use_case}/models/promote", pages.changed(pages.promote), methods=["POST"]),
        Page("/{use_case}/models/rollback", pages.changed(pages.roll_back), methods=["POST"]),
        Page("/{use_case}/models/refuse", pages.changed(pages.refuse), methods=["POST"]),
        Page("/{use_case}/models/{version}", pages.version),
    ]


class _Models:
    """The handlers, which share the frame and what compares.

    Parameters
    ----------
    site
        The frame.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.comparer = Comparer()

    def every(self, request: Request) -> Response:
        """All versions, what was decided, and how a run stands."""
        asked = read_query(request, {"run": str, "sort": one_of("newest", "best")})
        return self._every(request, run=asked.get("run"), best_first=asked.get("sort") == "best")

    def _every(self, request: Request, *, run: str | None = None, status: int = 200, **further: Any) -> Response:
        stores = self.site.stores(request)
        known = histories.read(stores)
        best_first = bool(further.pop("best_first", False))
        told = models_page.told(known, stores.use_case.training.metric, dt.datetime.now(dt.UTC), best_first=best_first)
        standing, trouble = self._run(stores, run) if run else (None, "")
        values = {"trouble": trouble, "command": "", "why": "", **further}
        return self.site.page(
            request,
            "models.html",
            status=status,
            told=told,
            best_first=best_first,
            run=standing,
            busy=standing is not None and standing["under_way"],
            here=here(stores),
            why_none="" if known.champion else f"The reason: {why_none(stores)}.",
            previous=_previous(stores),
            may_write="write" in caller_of(request).rights,
            **values,
        )

    def _run(self, stores: Stores, run: str) -> tuple[dict[str, Any] | None, str]:
        """How a run of the use case stands; or why Dagster does not tell."""
        address = page_address(stores.use_case.name, "models", run=run)
        return standing(self.site.service.starter, stores.use_case.name, run, address)

    def version(self, request: Request) -> Response:
        """The card of a version."""
        read_query(request, {})
        stores = self.site.stores(request)
        try:
            number = whole(request.path_params["version"])
        except ValueError:
            raise Problem(404, "There is no such page; a version has a number.") from None
        about = find(stores, number).details()
        known = histories.read(stores)
        return self.site.page(
            request,
            "models_version.html",
            card=card_page.told(about, number),
            state=models_page.STATES[known.state(number)],
            champion=known.champion,
            refusal=known.refusals.get(number),
            here=here(stores),
        )

    def diff(self, request: Request) -> Response:
        """Two versions side by side."""
        asked = self.site.query(request, {"before": whole, "after": whole, "day": day})
        stores = self.site.stores(request)
        name = stores.use_case.name
        before = asked.get("before") or stores.history.champion()
        after = asked.get("after") or max(stores.registry.numbers(name), default=None)
        if before is None or after is None:
            raise Problem(404, f"There are no two versions of {name} to compare; name them: ?before=1&after=2.")
        first, second = find(stores, before), find(stores, after)
        found, missing = self._compared(stores, first, second, asked.get("day"))
        days = sorted(stores.lake.rows.days(), reverse=True)
        chosen = asked.get("day") or next(iter(days), "DAY")
        return self.site.page(
            request,
            "models_diff.html",
            title=f"{name}: version {after} against version {before}",
            before=before,
            after=after,
            sides=diff_page.sides(first.details(), second.details()),
            diff=diff_page.told(found, linked=True) if found else None,
            days=days[:DAYS],
            missing=missing,
            command=f"mlops-assets diff {name} --day {chosen} --candidate {after} --against {before} -o diff.html",
            here=here(stores),
        )

    def _compared(self, stores: Stores, before: Version, after: Version, day: str | None) -> Any:
        """What changes on a day, or why that is not shown."""
        if day is not None:
            return self.comparer.compare(stores, day, before, after)
        found = diff_page.stored(after)
        if found is not None and found.before == before.version:
            return found, ""
        return None, "Choose a day to see which of its rows would get another answer. Or have it written to a file:"

    def changed(self, change: Callable[[Request, Form], Response]) -> Callable[[Request], Awaitable[Response]]:
        """A handler of a form that changes something, done in a thread."""

        async def handle(request: Request) -> Response:
            form = await small_form(request)
            return await run_in_threadpool(change, request, form)

        return handle

    def promote(self, request: Request, form: Form) -> Response:
        """Start the run that makes a version the champion."""
        stores, why, number = self.site.stores(request), _why(form), _version(form)
        name, override = stores.use_case.name, form.get("override") == "true"
        wish = starting.promotion(name, number, who(request), why, override=override)
        command = ["mlops-assets", "promote", name, f"{number}", *(["--override"] if override else []), "--why", why]
        return self._start(request, wish, lambda: check_promotion(stores, number, override=override), command, why)

    def roll_back(self, request: Request, form: Form) -> Response:
        """Start the run that makes the champion of before the champion again."""
        stores, why = self.site.stores(request), _why(form)
        wish = starting.rollback(stores.use_case.name, who(request), why)
        command = ["mlops-assets", "rollback", stores.use_case.name, "--why", why]
        return self._start(request, wish, lambda: check_rollback(stores), command, why)

    def _start(
        self, request: Request, wish: starting.Wish, check: Callable[[], None], command: Sequence[str], why: str
    ) -> Response:
        try:
            run = self.site.service.starter.start(wish, who(request), check)
        except (NoDagster, NotLaunched) as error:
            told = {"trouble": without_paths(str(error)), "command": shlex.join(command), "why": why}
            return self._every(request, status=503, **told)
        return go_to(page_address(self.site.stores(request).use_case.name, "models", run=run))

    def refuse(self, request: Request, form: Form) -> Response:
        """Keep that somebody decided against a version."""
        stores, why, number = self.site.stores(request), _why(form), _version(form)
        refuse(stores, number, who(request), why)
        return go_to(here(stores))


def here(stores: Stores) -> str:
    """Address of the versions of a use case."""
    return page_address(stores.use_case.name, "models")


def find(stores: Stores, number: int) -> Version:
    """A version.

    Raises
    ------
    Problem
        404, if there is none of that number.
    """
    try:
        return stores.registry.version(stores.use_case.name, number)
    except UsageError as error:
        raise Problem(404, str(error)) from None


def _previous(stores: Stores) -> int | None:
    """The version that a rollback would set."""
    try:
        return stores.history.previous()
    except MlopsError:
        return None


def _why(form: Form) -> str:
    why = form.get("why", "").strip()
    if not 1 <= len(why) <= LONGEST:
        raise Problem(422, f"Say why, in 1 to {LONGEST:,} signs: it stands in the history.")
    return why


def _version(form: Form) -> int:
    try:
        return whole(form.get("version", ""))
    except ValueError as error:
        raise Problem(422, f"Which version? {error}.") from None
