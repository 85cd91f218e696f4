"""One HTML page: no script, nothing loaded from elsewhere; and pictures as Markdown that holds them, for Dagster."""

from __future__ import annotations

import base64
import html
import io
import warnings
from typing import TYPE_CHECKING

from mlops_assets.work.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may do with a page besides showing it, were there a hole: nothing is run, sent or fetched."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.6rem } h2 { margin-top: 2.2rem; border-bottom: 1px solid #d5dde5; padding-bottom: .2rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; font-size: 13px }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e4e9ee; text-align: left; white-space: nowrap }
th { background: #f3f6f9 } tbody tr:hover { background: #f8fafc }
pre { background: #f3f6f9; padding: .8rem; overflow-x: auto; font-size: 12px } img { max-width: 100% }
h1, th, td, code { unicode-bidi: isolate }
"""


def document(title: str, body: str, style: str = "") -> str:
    """A whole HTML document.

    Parameters
    ----------
    title
        Title of the window.
    body
        HTML in which every text of others is escaped.
    style
        Further rules of style.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{html.escape(printable(title))}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head>\n<body>\n{body}</body></html>\n"
    )


def picture(figure: Figure, what: str) -> str:
    """A figure as Markdown that holds it, so that a page needs no other file."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # a letter that the font has not is a box in the picture; the tables have it
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="png", dpi=90)
    return embedded(file.getvalue(), what)


def embedded(png: bytes, what: str) -> str:
    """A picture as Markdown that holds it."""
    return f"![{what}](data:image/png;base64,{base64.b64encode(png).decode()})"
