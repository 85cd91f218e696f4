"""What every way of asking for predictions has in common: the version that answers, and that what it says is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from mlops_assets.errors import UsageError
from mlops_assets.journey.explain.sent import SentExplanation, explain_sent
from mlops_assets.journey.score.online import Answered, Loaded, Sent
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.requests import note_answered
from mlops_assets.serving.service import Service, caller_of, id_of
from mlops_assets.use_case import UseCase

Made = TypeVar("Made")


async def choose(service: Service, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
    """The version that answers.

    Raises
    ------
    Problem
        404, if there is no version of that number.
    NoChampion
        If there is no champion, with the reason.
    MlopsError
        If there is one, and it cannot be loaded.
    """
    try:
        return await service.champions.find(use_case, version, as_of)
    except UsageError as error:
        raise Problem(404, str(error)) from None


async def answer_request(
    service: Service,
    request: Request,
    loaded: Loaded,
    files: Sequence[Sent],
    day: str,
    make: Callable[[list[Answered]], Made],
    *,
    known_as: str = "",
) -> Made:
    """Have files answered, and keep them if their use case says so.

    Parameters
    ----------
    service
        Answers and keeps.
    request
        The request.
    loaded
        The version that answers.
    files
        What was sent.
    day
        The day that its rows are of.
    make
        Makes of the answers what is sent; raises where the request is refused after all, and then nothing is kept.
    known_as
        Id of an earlier request that brought the same files, which are kept once; that of this one by default.
    """
    answered = await service.batcher.ask(loaded, files, day)
    note_answered(request, loaded, answered)
    made = make(answered)
    # what is refused is not kept, and what is kept is in the journal before anybody has an answer
    name, caller = known_as or id_of(request), caller_of(request).name
    await service.store.keep(loaded.use_case, name, loaded, day, caller, files, answered)
    return made


async def explain(service: Service, loaded: Loaded, file: Sent, line: int, day: str) -> SentExplanation:
    """Why a row of a file got its category.

    Parameters
    ----------
    service
        Knows who is asked for enrichments.
    loaded
        The version that answered.
    file, line
        The row.
    day
        The day that its file is of.
    """
    enrich = partial(service.enrich, loaded, day)
    return await asyncio.to_thread(explain_sent, loaded, file, line, day, enrich)
