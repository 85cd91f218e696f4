"""In: a template's name and plain values. Out: HTML in which texts of others are escaped, and all their signs seen.

The same templates make the pages of the server and single files: they differ in their layout alone.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mlops_assets.views.html import charts
from mlops_assets.views.numbers import NOTHING, interval, number, percent, plain, share, size, span
from mlops_assets.work.printable import cut, printable

LONGEST = 120
"""Signs of a text in a table; longer ones stand whole in the title of their cell."""
QUOTED = re.compile(r"`([^`]+)`")
STYLES = ("pico.min.css", "pages.css")


def render(template: str, **values: Any) -> str:
    """HTML of a template.

    Parameters
    ----------
    template
        Its name in the folder `templates`.
    values
        What it shows. A text is escaped and made printable, None becomes a dash; `Markup` stands as it is.

    Raises
    ------
    jinja2.UndefinedError
        If the template shows what was not given.
    """
    return _environment().get_template(template).render(values)


def single_file(template: str, title: str, **values: Any) -> str:
    """The page of a template as one file: nothing is loaded, run or sent, and its style stands in it.

    Parameters
    ----------
    template
        Its name in the folder `templates`; it extends `layout`.
    title
        Title of the window.
    values
        As of `render`.
    """
    # of files of ours alone; a sign that cannot be seen is written as CSS writes it, for a file holds none
    style = Markup("".join(asset(name).decode() for name in STYLES).replace("\u200b", r"\200b "))  # noqa: S704
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # `layout` chooses what is around the content; links to other pages lead nowhere in a file
    return render(template, **values, layout="file.html", title=title, style=style, digest=digest, base=None)


@cache
def asset(name: str) -> bytes:
    """A file of the folder `static`."""
    return (resources.files("mlops_assets.views.html") / "static" / name).read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlops_assets.views.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    told = (interval, number, percent, plain, share, size, span, when, short, exactly, said, answer, sure)
    environment.filters.update({each.__name__: each for each in told})
    environment.globals["charts"] = charts
    return environment


def shown(value: object) -> object:
    """A value as a template writes it: a text with all its signs seen, nothing as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return value


def answer(value: str | float, longest: int = LONGEST) -> Markup:
    """What was predicted: a class, or a number."""
    return short(value, longest) if isinstance(value, str) else escape(plain(value))


def sure(row: Any) -> str:
    """How sure a prediction is: the probability of its class, or the interval around its number."""
    told = row if isinstance(row, Mapping) else vars(row)
    if told.get("probability") is not None:
        return share(told["probability"])
    return interval(*(told.get("interval") or (told.get("low"), told.get("high"))))


def exactly(text: str) -> Markup:
    """A text that is to come back as it is, such as the value of a hidden field."""
    return escape(text)


def short(text: str, longest: int = LONGEST) -> Markup:
    """A text of others in a table: its beginning, and the whole of it on hover."""
    whole = printable(text)
    if len(whole) <= longest:
        return escape(whole)
    return Markup('<span title="{}">{}</span>').format(cut(whole, 4_000), cut(whole, longest))


def said(text: str | None, longest: int = 1_000) -> Markup | str:
    """A sentence as commands say it too: what stands between backticks there is code here.

    Examples
    --------
    >>> str(said("`age` is empty: `<b>`"))
    '<code>age</code> is empty: <code>&lt;b&gt;</code>'
    """
    if text is None:
        return NOTHING
    # two of them around something; what was escaped is put between
    return Markup(QUOTED.sub(r"<code>\1</code>", str(escape(cut(printable(text), longest)))))  # noqa: S704


def when(value: str | dt.datetime | None) -> Markup | str:
    """A moment: in UTC here, in the zone of the reader once the page's script has run, and then in UTC on hover."""
    if value is None:
        return NOTHING
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    utc = f"{moment:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", utc, utc)
