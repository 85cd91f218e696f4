"""What stands behind the `?` of a request, read and checked; everything that is wrong with it is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, WithJsonSchema
from starlette.requests import Request

from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.use_case.partitions import is_key

T = TypeVar("T")
Read = Callable[[str], Any]
"""Makes a value of a text; raises ValueError with what is expected."""

MOST_TOLD = 50
"""Things that are told to be wrong with one request: a body of thousands of wrong rows has no answer of megabytes."""


def whole(text: str) -> int:
    """A whole number from 1 on."""
    # no more than 32 bits: what is longer numbers no version and no line
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ValueError("expected a whole number from 1 on")
    return int(text)


def day(text: str) -> str:
    """A day."""
    # an address that was written by hand has a blank for the plus of an hour that comes again
    key = text.replace(" ", "+")
    if not is_key(key):
        raise ValueError("expected a day, YYYY-MM-DD, or an hour, YYYY-MM-DDTHH")
    return key


HOUR = r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])([+-](0[0-9]|1[0-3])00)?$"
"""Hours for who reads the description of the API; those of the last days of a month are taken, too."""

DAY_SCHEMA = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "pattern": HOUR}]}

Day = Annotated[str, AfterValidator(day), WithJsonSchema(DAY_SCHEMA)]
"""A day, where FastAPI reads it."""


def flag(text: str) -> bool:
    """True or false."""
    return bool(one_of("true", "false")(text) == "true")


def one_of(*words: str) -> Read:
    """One of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected {' or '.join(words)}")
        return text

    return read


def text(longest: int) -> Callable[[str], str]:
    """A text of so many signs at most."""

    def read(given: str) -> str:
        if len(given) > longest:
            raise ValueError(f"expected at most {longest:,} signs")
        return given

    return read


def perhaps(read: Callable[[str], T]) -> Callable[[str], T | None]:
    """What a form sends of a field that nobody filled in is nothing."""
    return lambda given: read(given) if given else None


def read_query(request: Request, known: Mapping[str, Read]) -> dict[str, Any]:
    """The parameters of a request that are given.

    Parameters
    ----------
    request
        The request.
    known
        What there may be, each with how it is read.

    Raises
    ------
    Problem
        422, if there is another one, one stands twice, or a value is not what is expected.
    """
    found: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for name, text in request.query_params.multi_items():
        where = f"query.{name[:100]}"
        if name not in known:
            wrong.append(Wrong(where, f"there is no such parameter; there are: {', '.join(known) or 'none'}"))
        elif name in found:
            wrong.append(Wrong(where, "it stands there twice; give it once"))
        else:
            found[name] = None
            try:
                found[name] = known[name](text)
            except ValueError as error:
                wrong.append(Wrong(where, f"{error}, found {text[:100]!r}"))
    refuse(wrong)
    return found


def see_parameters(request: Request) -> None:
    """See that a request has no parameter that its route has not, and none twice; FastAPI reads what they say.

    Raises
    ------
    Problem
        422, if not.
    """
    read_query(request, {parameter.alias: str for parameter in request.scope["route"].dependant.query_params})


def refuse(wrong: Sequence[Wrong], status: int = 422) -> None:
    """Refuse a request with which anything is wrong; the first `MOST_TOLD` of it are told, and how many there are.

    Raises
    ------
    Problem
        If there is something.
    """
    if not wrong:
        return
    count = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
    cut = f", of which the first {MOST_TOLD} are told" if len(wrong) > MOST_TOLD else ""
    raise Problem(status, f"{count} wrong with the request{cut}; see `errors`.", wrong[:MOST_TOLD])


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The media type that is wanted most of those that there are; the first one where nothing is said.

    Parameters
    ----------
    accept
        The header `Accept`; `q` and the most specific range count, as RFC 9110 says.
    offered
        The media types.

    Raises
    ------
    Problem
        406, if none is wanted.
    """
    if not accept:
        return offered[0]
    ranges = dict(map(_range, accept.split(",")))
    weights = [next((ranges[one] for one in _matching(kind) if one in ranges), 0.0) for kind in offered]
    if max(weights) <= 0:
        raise Problem(406, f"Accept: {accept[:200]!r} is not had here; there are: {', '.join(offered)}.")
    return offered[weights.index(max(weights))]


def _matching(kind: str) -> tuple[str, str, str]:
    return kind, f"{kind.partition('/')[0]}/*", "*/*"


def _range(text: str) -> tuple[str, float]:
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return kind, float(weight)
    except ValueError:
        return kind, 0.0
