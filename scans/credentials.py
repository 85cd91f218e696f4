"""Whether a tracked file has a secret in it: `python -m scans.credentials`.

Looked for are the forms in which services issue their keys, passwords in addresses and headers, private keys, and what
is given to a name such as `password`. What is told does not show the secret. What only looks like one is named with its
reason in `accepted.toml`.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scans.accepted import ROOT, Harmless, Unusable, read_harmless

ISSUED = {
    "AWS access key": ("AKIA|ASIA|ABIA|ACCA", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    "GitHub token": ("ghp_|gho_|ghu_|ghs_|ghr_|github_pat_", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{50,255}"),
    "GitLab token": ("glpat-|gldt-|glptt-|glrt-|glsoat-|glcbt-", r"gl(?:pat|dt|ptt|rt|soat|cbt)-[\w-]{20,}"),
    "Slack token": ("xox|xapp-", r"xox[abeoprs]-[\w-]{10,}|xapp-\d-[\w-]{10,}"),
    "webhook of a chat": (
        "hooks.slack.com|/api/webhooks/",
        r"hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}|discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}",
    ),
    "Stripe key": ("sk_live|sk_test|rk_live|rk_test|whsec_", r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
    "Google key": ("AIza|GOCSPX-|ya29.", r"AIza[\w-]{35}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}"),
    "key of a model's host": (
        "sk-|hf_|dapi",
        r"sk-(?:ant-|proj-|svcacct-)?[\w-]*[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{30,}|dapi[0-9a-f]{32}",
    ),
    "registry token": (
        "npm_|pypi-AgE|dckr_pat_",
        r"npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{20,}|dckr_pat_[\w-]{20,}",
    ),
    "mail or telephone key": ("SG.|key-|SK", r"SG\.[\w-]{16,}\.[\w-]{16,}|key-[0-9a-f]{32}|SK[0-9a-f]{32}"),
    "shop or hosting token": (
        "shpat_|shpca_|shppa_|shpss_|_v1_|hvs.|hvb.",
        r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|do[opr]_v1_[0-9a-f]{64}|hv[sb]\.[\w-]{24,}",
    ),
    "Azure key": (
        "AccountKey=|SharedAccessKey=|sig=",
        r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/=]{40,}|sig=[A-Za-z0-9%+/]{40,}",
    ),
    "JSON web token": ("eyJ", r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "service token": (
        "ATATT3|lin_api_|ntn_|NRAK-|gls|glc_|sbp_|gsk_|pplx-|sntrys_|dp.pt.|sq0|:AA",
        r"(?:ATATT3|lin_api_|ntn_|NRAK-|glsa_|glc_|sbp_|gsk_|pplx-|sntrys_|dp\.pt\.|sq0[a-z]{3}-)[\w=-]{20,}|\d{8,10}:AA[\w-]{33}",
    ),
    "hash of a password": ("$", r"\$(?:apr1|2[aby]|[156]|argon2id?|y)\$[\w./$=,+-]{20,}"),
    "age key": ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
}
"""Secrets that are known by their form, wherever they stand: what one has in it, and the form."""

SHOWN = {
    "private key": (
        "PRIVATE KEY|PuTTY-",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d",
    ),
    "password in an address": (
        "://",
        r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"'`<>|\\]*:(?P<secret>[^\s/@\"'`<>|\\]{3,})@",
    ),
    "authorization header": (
        "uthorization|AUTHORIZATION",
        r"(?i:authorization\\?[\"']?\s*[:=,]\s*\\?[\"'bf]*(?:basic|bearer|token)\s+)(?P<secret>[\w+/=.~-]{8,})",
    ),
    "bearer of a token": ("earer ", r"\b[Bb]earer\s+(?P<secret>(?=[\w.~+/-]*\d)[\w.~+/-]{20,}=*)"),
    "key in an address": (
        "=",
        r"(?i:[?&](?:[\w-]*(?:token|secret|password|passwd)|(?:api|access|auth|private)?[_-]?key)=)(?P<secret>[^\s&\"'`<>{}$\\]{8,})",
    ),
    "key in digits": (
        "key|KEY|Key",
        r"(?i:key\\?[\"']?\]?\s*(?::\s*\w+\s*)?[=:]\s*b?\\?[\"'])(?P<secret>[0-9a-fA-F]{32,})\\?[\"']",
    ),
    "variable of an image": (
        "ENV |ARG ",
        r"(?m:^[ \t]*(?:ENV|ARG)[ \t]+\w*(?i:password|passwd|secret|token|_key)\w*[ \t]+)(?P<secret>\S{6,})",
    ),
    "password in a connection": (";", r"(?i:;\s*(?:password|pwd)\s*=\s*)(?P<secret>[^\s;\"'`]{4,})"),
    "password of a request": (
        "auth",
        r"\bauth\s*=\s*\(\s*[\"'][^\"'\n]*[\"']\s*,\s*[\"'](?P<secret>[^\"'\n]{4,})[\"']",
    ),
    "password of a login": ("password ", r"\blogin\s+\S+\s+password\s+(?P<secret>[^\s\"',]{4,})"),
    "option of a command": (
        "--",
        r"--(?:password|passwd|token|secret|api-key)[ =](?P<secret>[^\s\"'`<>\[\]()-][^\s\"'`<>\[\]()]{5,})",
    ),
    "password of a command": ("curl ", r"\bcurl\b[^\n|;]*\s(?:-u|--user)[ =]?[\"']?[^\s:\"']+:(?P<secret>[^\s\"']+)"),
}
"""Secrets that are known by what stands around them: what that has in it, and the form; the group is the secret."""

FORMS = [
    *((kind, has.split("|"), re.compile(rf"(?<![A-Za-z0-9_])(?:{form})")) for kind, (has, form) in ISSUED.items()),
    *((kind, has.split("|"), re.compile(form)) for kind, (has, form) in SHOWN.items()),
]

KEYS = r"(?:api|access|account|auth|private|secret|signing|encryption)[_-]?key"
NAME = rf"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|(?<=[\"'])auth(?=[\"'])|{KEYS})"
GIVEN = re.compile(
    rf"(?P<name>{NAME}(?:[_-]?(?:key|id|value|base64|b64|access[_-]?key))?)\\?[\"']?\]?"
    # a type between name and value; a bracket, or a block of YAML, before the value
    r"(?:[ \t]*:[ \t]*[\w.\[\] |]+?)?[ \t]*"
    r"(?:=[ \t]*\(\s*|(?:[:?+]?=|:|=>|,|>)[ \t]*(?:[|>][+-]?[ \t]*\n[ \t]*)?)[rbf]{0,2}"
    r"(?:\\?(?P<sign>[\"'`])(?P<quoted>[^\"'`\\\n]{6,})\\?(?P=sign)|(?P<bare>[^\s\"'`,;(){}\[\]<>$|\\#]{8,}))",
    re.IGNORECASE,
)
"""A value that is given to a name which says that it is a secret: in code, YAML, JSON, `.env` files and shells."""

OF_A_NAME = re.compile(rf"(?:[a-z]+_)*{NAME}(?:_[a-z]+)*|[a-z_]+(?:\.[a-z_]+)+", re.IGNORECASE)
"""Such as `aws_secret_access_key` or `ssl.key.pem`: what a key is called, no key."""

LOCKED = re.compile(r"--hash=sha256:[0-9a-f]{64}")
"""Half of all that there is to read, and no secret."""

RANDOM = re.compile(r"(?<=[\"'`=:,\s])[A-Za-z0-9+/_-]{24,}={0,2}(?=[\"'`\s,;]|$)", re.MULTILINE)
"""What may be the bytes of a key, in base64; the letters tell (`is_random`)."""

REFERENCE = re.compile(
    r"^\$\w+$|\$[{(]|\{\{|\}\}|%\(|%s|\{[\w.!:\[\]']*\}|<[^>]*>|\*{3}|\.{3}|x{4,}|^(?-i:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)$",
    re.I,
)
"""A value that stands for another one: a variable, a template, a row of stars."""

CODE = (".py", ".md", ".sql", ".ipynb")
SETTINGS = (".yaml", ".yml", ".env", ".ini", ".cfg", ".conf", ".toml", ".properties")
"""Files in which a value needs no quotes."""

PLACEHOLDERS = frozenset(
    ("password", "passwd", "secret", "token", "changeme", "example", "bearer", "basic", "user:password")
)


@dataclass(frozen=True)
class Leak:
    """A secret in a file."""

    path: str
    line: int
    kind: str
    value: str

    def __str__(self) -> str:
        """Where it is; the secret itself is not told, for this may stand in a log."""
        return f"{self.path}:{self.line}: {self.kind}, {len(self.value)} characters beginning with {self.value[:3]!r}"


def leaks(path: str, content: bytes) -> list[Leak]:
    """The secrets in a file.

    Parameters
    ----------
    path
        Its path, for what is told.
    content
        Its bytes; those that are no text are looked at as well.

    Returns
    -------
    list of Leak
        In the order of the lines, each text of a line once.
    """
    # what is looked for is ASCII, whatever the encoding
    text = (
        content.decode("utf-16", "replace") if content[:2] in (b"\xff\xfe", b"\xfe\xff") else content.decode("latin-1")
    )
    text = LOCKED.sub("", text)
    found: dict[tuple[int, str], Leak] = {}
    for start, kind, value in sorted(_known(text)) + sorted(_given(path, text)) + sorted(_random(text)):
        line = text.count("\n", 0, start) + 1
        if not any(at == line and (value in told or told in value) for at, told in found):
            found[line, value] = Leak(path, line, kind, value)
    return sorted(found.values(), key=lambda one: one.line)


def _known(text: str) -> Iterator[tuple[int, str, str]]:
    for kind, has, form in FORMS:
        if not any(part in text for part in has):  # most files have none, and to look costs little
            continue
        for match in form.finditer(text):
            value = match.groupdict().get("secret") or match[0]
            if value == match[0] or not _stands_for_another(value):
                yield match.start(), kind, value


def _given(path: str, text: str) -> Iterator[tuple[int, str, str]]:
    as_text = path.endswith(SETTINGS)
    for match in GIVEN.finditer(text):
        value = match["quoted"] or match["bare"]
        # in code a word without quotes is a name, and in prose the next word
        if match["bare"] and not as_text and (path.endswith(CODE) or not _is_mixed(value)):
            continue
        is_prose = " " in value and "phrase" not in match["name"].lower()
        if is_prose or OF_A_NAME.fullmatch(value) or _stands_for_another(value):
            continue
        if len(set(value)) > 3 and value.lower() not in match["name"].lower():
            yield match.start(), "value of a name that says secret", value


def _random(text: str) -> Iterator[tuple[int, str, str]]:
    for match in RANDOM.finditer(text):
        if is_random(match[0]):
            yield match.start(), "random letters", match[0]


def is_random(text: str) -> bool:
    """Whether a text is likely the base64 of random bytes.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    bool
        Whether it has capitals, small letters and digits, all mixed, and repeats few. Fingerprints in hexadecimal
        digits are not: this repository is full of them, and they are no secrets.
    """
    if not _is_mixed(text) or text.lower() == text or text.upper() == text:
        return False
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
    words = re.findall(r"[A-Z]?[a-z]{4,}|[A-Z]{5,}", text)  # of names and paths
    return bits > 4.2 and sum(map(len, words)) < len(text) / 2


def _is_mixed(text: str) -> bool:
    return bool(re.search(r"\d", text) and re.search(r"[A-Za-z]", text))


def _stands_for_another(value: str) -> bool:
    return bool(REFERENCE.search(value)) or value.lower().strip("\"'") in PLACEHOLDERS


def tracked(root: Path = ROOT) -> list[str]:
    """The files that git tracks; what was added counts, so that a secret is seen before it is in the history.

    Parameters
    ----------
    root
        The checkout.

    Returns
    -------
    list of str
        Their paths.

    Raises
    ------
    Unusable
        If it is no checkout.
    """
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Unusable("git tells no files; this is for a checkout.") from None
    return [name for name in done.stdout.decode("utf-8", "surrogateescape").split("\0") if (root / name).is_file()]


def judge(found: Iterable[Leak], harmless: Iterable[Harmless]) -> list[str]:
    """What is told of the secrets.

    Parameters
    ----------
    found
        The secrets.
    harmless
        What only looks like one.

    Returns
    -------
    list of str
        A line for each that is not called harmless, and one for each entry that is of no use.
    """
    unused, told = list(harmless), []
    entries = tuple(unused)
    for leak in found:
        of_it = [one for one in entries if leak.path.startswith(one.path) and one.value.fullmatch(leak.value)]
        unused = [one for one in unused if one not in of_it]
        if not of_it:
            told.append(str(leak))
    return told + [
        f"accepted.toml: nothing is {one.value.pattern!r} in {one.path}; take the entry out." for one in unused
    ]


def main() -> int:
    """Look at the files of the checkout, and say what was found.

    Returns
    -------
    int
        0 if there is no secret, 1 if there is one, 2 if the audit cannot be made.
    """
    try:
        files = tracked()
        found = [leak for name in files for leak in leaks(name, (ROOT / name).read_bytes())]
        told = judge(found, read_harmless())
    except Unusable as error:
        print(f"credentials: {error}", file=sys.stderr)
        return 2
    for line in told:
        print(f"credentials: {line}", file=sys.stderr)
    if told:
        print("credentials: withdraw what is real; scans/accepted.toml is for what is none.", file=sys.stderr)
    else:
        print(f"{len(files)} files without a secret")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
