"""The audit of secrets: what services issue and people type is found wherever it stands, and is not shown.

No secret stands in this file as it is looked for: each is put together when the tests run.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from scans import credentials
from scans.accepted import Harmless, Unusable, read_harmless

RANDOM = hashlib.sha512(b"a seed").digest()
LETTERS = base64.b64encode(RANDOM).decode().replace("+", "a").replace("/", "b").strip("=")
DIGITS = RANDOM.hex()[:40]

PLANTED = {
    "AWS access key": ("AKIA", "Y3FDNBVZQ5WTR2PL"),
    "AWS secret key": (f"aws_secret_access_key = {LETTERS[:40]}",),
    "private key": ("-----BEGIN RSA PRI", "VATE KEY-----"),
    "OpenSSH key": ("-----BEGIN OPENSSH PRI", "VATE KEY-----"),
    "password in an address": ("postgresql://admin:", "Tr0ub4dor@db.internal/prod"),
    "password without a user": ("redis://:", "Tr0ub4dor@cache:6379/0"),
    "GitHub token": ("ghp_", LETTERS[:36]),
    "GitHub token of one repository": ("github_pat_", LETTERS),
    "GitLab token": ("glpat-", LETTERS[:20]),
    "Slack token": ("xoxb-", "123456789012-" + LETTERS[:24]),
    "Slack webhook": ("https://hooks.slack.com/", "services/T0000AAAA/B0000BBBB/" + LETTERS[:24]),
    "Stripe key": ("sk_live_", LETTERS[:24]),
    "Google key": ("AIza", LETTERS[:35]),
    "PyPI token": ("pypi-", "AgEIcHlwaS5vcmcC" + LETTERS),
    "JSON web token": ("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + LETTERS[:43]),
    "basic authorization": ("Authorization: Basic ", base64.b64encode(b"admin:Tr0ub4dor").decode()),
    "bearer in code": ('headers = {"Authorization": "Bearer ', LETTERS[:24] + '"}'),
    "password of curl": ("curl -u admin:", "Tr0ub4dor https://internal.example"),
    "password in YAML": ("password: ", "Tr0ub4dor&3"),
    "block of YAML": ("client_secret: |\n  ", "Tr0ub4dor&3"),
    "password in XML": ("<password>", "Tr0ub4dor</password>"),
    "option of a command": ("mysql --password ", "correcthorse"),
    "login of .netrc": ("machine a login b password ", "correcthorse"),
    "connection of a database in code": ('"Server=x;User Id=sa;Pass', 'word=Tr0ub4dor!;"'),
    "authorization of a request in code": ("requests.get(url, auth=('admin', '", "correcthorse'))"),
    "authorization of Docker in code": ('{"auth": "', base64.b64encode(b"admin:Tr0ub4dor").decode() + '"}'),
    "phrase in code": ('passphrase = ("', 'correct horse battery staple")'),
    "password in code": ('DB_PASSWORD = "', 'correcthorse"'),
    "password in JSON": ('{"password": "', 'correcthorse"}'),
    "escaped JSON": (r'"{\"client_secret\": \"', r'correcthorse\"}"'),
    "argument of a function": ('connect(user="admin", passwd="', 'correcthorse")'),
    "annotated name": ('api_key: str = "', DIGITS + '"'),
    "key of a dict": ('os.environ["SERVICE_TOKEN"] = "', 'correcthorse"'),
    "random letters": ('fernet = "', base64.b64encode(RANDOM[:32]).decode() + '"'),
    "key in an address of code": ("requests.get('https://internal.example/v1?api_key=", f"{DIGITS}')"),
    "variable of an image": ("ENV SERVICE_TOKEN ", "correcthorse"),
    "assignment of make": ("SERVICE_TOKEN := ", "abcd1234efgh5678"),
    "bearer elsewhere in code": ("{'X-Auth': 'Bearer ", LETTERS[:30] + "'}"),
    "key of digits in code": ('KEY = "', RANDOM.hex()[:64] + '"'),
    "password of a web server": ("bob:$apr1", "$x7Yabcde$1234567890abcdefghijkl"),
    "words joined in code": ('password = "', 'very_long_words_1"'),
    "list of keys": (f"nobody,{LETTERS[:40]}",),
    "Azure connection": ("AccountName=a;Account", "Key=" + LETTERS[:84] + "=="),
}

HARMLESS = {
    "a variable of code": 'password = os.environ["DB_PASSWORD"]',
    "a reference of YAML": "token: '{{ env.SERVICE_TOKEN }}'",
    "a variable of a shell": 'PASSWORD="${STACK_PASSWORD:?set it}"',
    "a name of code": "secret = settings.secret_of_the_day",
    "a name of a name in code": '{"password": "aws_secret_access_key"}',
    "a path of keys in code": 'wrong = {"token": "enrichments.score.parameters.url"}',
    "a token of words": "tokens: [a, b]",
    "an empty value": "STACK_S3_ACCESS_KEY=\nSTACK_S3_SECRET_KEY=\n",
    "a placeholder in an address": "postgresql://user:password@host/database",
    "an address with a port": "http://127.0.0.1:3000/runs?at=12:00@noon",
    "prose": "The token: what a request needs to be let in, and a password of course.",
    "a fingerprint": f'"sha256": "{DIGITS}"',
    "the hash of a package": f"shelf==1.2 --hash=sha256:{DIGITS}{DIGITS[:24]}",
    "a pinned action": f"uses: actions/checkout@{DIGITS}",
    "a pattern of words": 'token_pattern="(?u)..."',
    "a long name": "test_a_long_name_of_a_test_with_1_digit_and_CAPITALS_is_no_key_of_anything",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_found_with_its_line_and_not_shown(kind: str) -> None:
    secret = "".join(PLANTED[kind])
    (found, *others) = credentials.leaks(
        "notes.txt" if "code" not in kind else "notes.py", f"a\nb\n{secret}\n".encode()
    )
    assert (found.path.partition(".")[0], found.line) == ("notes", 3)
    assert others == []
    assert found.value not in str(found)


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_stands_for_a_secret_is_none(kind: str) -> None:
    for name in ["a.py", "a.md"] if "code" in kind else ["a.py", "a.md", "a.yaml", "a.json"]:
        assert credentials.leaks(name, HARMLESS[kind].encode()) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_of_a_file_hides_nothing(encoding: str) -> None:
    content = f"Grüße\n{''.join(PLANTED['AWS access key'])}\n".encode(encoding)
    assert [one.line for one in credentials.leaks("a.txt", content)] == [2]


def test_a_file_that_is_no_text_is_looked_at() -> None:
    content = b"\x89PNG\x00\xff" + "".join(PLANTED["GitHub token"]).encode() + b"\x00\x01"
    assert [one.kind for one in credentials.leaks("a.png", content)] == ["GitHub token"]


def test_one_line_may_have_two() -> None:
    line = f"{''.join(PLANTED['Stripe key'])} {''.join(PLANTED['Slack token'])}"
    assert {one.kind for one in credentials.leaks("a.txt", line.encode())} == {"Stripe key", "Slack token"}


def test_an_entry_lets_its_value_pass_in_its_files_alone_and_is_told_if_it_is_of_no_use() -> None:
    found = credentials.leaks("tests/a.yaml", b"password: tulip-12345\n") + credentials.leaks(
        "b.yaml", b"password: tulip-12345\n"
    )
    harmless = Harmless("tests/", re.compile("tulip-[0-9]+"), "why")
    stale = Harmless("tests/", re.compile("rose"), "why")
    first, second = credentials.judge(found, [harmless, stale])
    assert first.startswith("b.yaml:1: ")
    assert second == "accepted.toml: nothing is 'rose' in tests/; take the entry out."


def test_an_entry_whose_value_is_no_pattern_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text('[[secret]]\npath = ""\nvalue = "("\nreason = "why"\n')
    with pytest.raises(Unusable, match="is no regular expression"):
        read_harmless(path)


def test_files_are_those_that_git_tracks(tmp_path: Path) -> None:
    for command in (["init", "--quiet"], ["add", "a b.txt"]):
        (tmp_path / "a b.txt").write_text("a")
        (tmp_path / "data.csv").write_text("a")
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert credentials.tracked(tmp_path) == ["a b.txt"]
    with pytest.raises(Unusable, match="this is for a checkout"):
        credentials.tracked(tmp_path / "nowhere")


def test_this_repository_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert credentials.main() == 0, capsys.readouterr().err
