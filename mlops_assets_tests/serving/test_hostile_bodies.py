"""Bodies that nobody sends who means well: each is refused in words, within its limits, and none is an error of ours."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mlops_assets.settings import Settings
from mlops_assets_tests.helpers.asgi import raw
from mlops_assets_tests.helpers.asked import BOUNDARY, HOST, Api, part, told, toy_api, wrong, zipped

FILE = b"account,date,amount,city,kind\nA1,2026-01-02,1.5,C1,\n"
FORM = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
JSON = ("Content-Type", "application/json")
END = f"--{BOUNDARY}--\r\n".encode()
MILLION = 1_000_000


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_HOME", str(tmp_path_factory.mktemp("home")))
        return toy_api(Settings.from_environment(), bytes=MILLION, files=100)


def encrypted() -> bytes:
    """A ZIP file that says of its member that it is encrypted."""
    data = bytearray(zipped([("a.csv", FILE)]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def named_twice() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.csv", FILE)
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("a.csv", FILE)
    return buffer.getvalue()


def zip64() -> bytes:
    data = zipped([("a.csv", FILE)])
    at = data.rindex(b"PK\x05\x06")
    return data[:at] + b"PK\x06\x07" + struct.pack("<LQL", 0, at, 1) + data[at:]


def lying() -> bytes:
    """A ZIP file that says that it unpacks to a few bytes."""
    data = bytearray(zipped([("a.csv", bytes(50 * MILLION))]))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 9)
    return bytes(data)


ZIPS: dict[str, tuple[bytes, int, str]] = {
    "a bomb": (zipped([("a.csv", bytes(50 * MILLION))]), 413, "unpacks to more than 1,000,000 bytes"),
    "a bomb of many": (
        zipped([(f"{n}.csv", bytes(MILLION // 50)) for n in range(90)]),
        413,
        "unpacks to more than 1,000,000 bytes",
    ),
    "a bomb that lies about its size": (lying(), 422, "damaged"),
    "many members": (zipped([(f"{number}.csv", b"") for number in range(101)]), 413, "more than 100 files"),
    "a list of members without end": (zipped([(f"{n}/", b"") for n in range(2_000)]), 413, "more than 100 files"),
    "encrypted": (encrypted(), 422, "it is encrypted"),
    "another way of packing": (zipped([("a.csv", FILE)], zipfile.ZIP_LZMA), 422, "use `deflate`"),
    "a name twice": (named_twice(), 422, "two files in the ZIP file have this name"),
    "an absolute path": (zipped([("/etc/passwd.csv", FILE)]), 422, "not one that leads elsewhere"),
    "a path that leads out": (zipped([("a/../../b.csv", FILE)]), 422, "not one that leads elsewhere"),
    "Zip64": (zip64(), 422, "Zip64"),
    "cut off": (zipped([("a.csv", FILE * 50)])[:-30], 422, "has no end"),
    "damaged": (zipped([("a.csv", FILE * 50)], zipfile.ZIP_STORED).replace(b"C1", b"C2"), 422, "damaged"),
    "nothing in it": (zipped([]), 422, "has no file"),
    "a magic number alone": (b"PK\x03\x04", 422, "has no end"),
    "a list that is noise": (b"PK\x03\x04PK\x05\x06" + b"\xff" * 18, 422, "damaged"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_zip_files(api: Api, case: str) -> None:
    data, status, phrase = ZIPS[case]
    answer = api.post(body=data)
    assert (answer.status, phrase in answer.text) == (status, True), answer.text


FORMS: dict[str, tuple[str, bytes, int, str]] = {
    "cut off": (FORM[1], part("a.csv", FILE), 400, "before its closing boundary"),
    "cut off in a header": (FORM[1], part("a.csv", FILE)[:40], 400, "before its closing boundary"),
    "another boundary": ("multipart/form-data; boundary=xyz", part("a.csv", FILE) + END, 400, "at byte"),
    "no boundary": ("multipart/form-data", part("a.csv", FILE) + END, 400, "lacks its `boundary`"),
    "a boundary without end": (f"multipart/form-data; boundary={'x' * 5_000}", END, 400, "Boundary length"),
    "no body": (FORM[1], b"", 400, "before its closing boundary"),
    "no files": (FORM[1], END, 422, "has no file"),
    "another field": (FORM[1], part("a.csv", FILE, "upload") + END, 422, "there is no field 'upload'"),
    "a NUL in a name": (FORM[1], part("a\0.csv", FILE) + END, 422, "characters that cannot be seen"),
    "a line end in a name": (FORM[1], part("a%0A.csv\t", FILE) + END, 422, "characters that cannot be seen"),
    "a name that is no text": (FORM[1], part(b"\xff.csv", FILE) + END, 422, "not UTF-8"),
    "a name without end": (FORM[1], part("a" * 300 + ".csv", FILE) + END, 422, "at most 255 bytes"),
    "a header without end": (FORM[1], part("a" * 9_000, FILE) + END, 400, "header size"),
    "a path": (FORM[1], part("../../a.csv", FILE) + END, 422, "leads elsewhere"),
    "a hidden name": (FORM[1], part(".a.csv", FILE) + END, 422, "names that begin with . or _"),
    "10,000 parts": (FORM[1], part("a", b"") * 10_000 + END, 413, "more than 100 parts"),
    "no form": (FORM[1], f"--{BOUNDARY}\r\nX: y\r\n\r\nz\r\n".encode() + END, 422, "Content-Disposition"),
    "for mail": (
        FORM[1],
        part("a.csv", FILE).replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + END,
        422,
        "which is for mail",
    ),
}


@pytest.mark.parametrize("case", FORMS)
def test_forms(api: Api, case: str) -> None:
    kind, body, status, phrase = FORMS[case]
    answer = api.post(("Content-Type", kind), body=body)
    assert (answer.status, phrase in answer.text) == (status, True), answer.text


def test_every_wrong_field_of_a_form_is_told(api: Api) -> None:
    body = part("a.csv", FILE, "one") + part("b.csv", FILE) + part("c.csv", FILE, "two") + END
    assert set(wrong(api.post(FORM, body=body))) == {"parts[0]", "parts[2]"}


ROW = '{"account": "A1", "date": "2026-01-02", "amount": %s, "city": "C1"}'
ROWS = '{"files": [{"name": "a.csv", "rows": [%s]}]}'
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "line 1, column 1"),
    "half": (ROWS.encode()[:20], 400, "column"),
    "NaN": ((ROWS % ROW % "NaN").encode(), 400, "NaN is no number"),
    "Infinity": ((ROWS % ROW % "-Infinity").encode(), 400, "is no number"),
    "a number without end": ((ROWS % ROW % "1e400").encode(), 400, "larger than any"),
    "a whole number without end": ((ROWS % ROW % ("9" * 10_000)).encode(), 400, "no JSON that is taken"),
    "brackets without end": (b"[" * 200_000, 400, "deeper"),
    "a key twice": ((ROWS % '{"city": "a", "city": "b"}').encode(), 400, "'city' stands twice"),
    "no UTF-8": (b'{"files": "\xff"}', 400, "byte 11 is not UTF-8"),
    "half a letter": ((ROWS % ROW % '"\\ud800"').encode(), 422, "files[0].rows[0].amount"),
    "a list": (b"[]", 422, "found a list"),
    "other keys": (b'{"files": [], "x": 1, "y": 2}', 422, "2 things are wrong"),
    "files that are none": (b'{"files": [1, {"rows": 2}, {"rows": [], "name": 3}]}', 422, "3 things are wrong"),
    "no files": (b'{"files": []}', 422, "has no file"),
    "a name that leads out": (b'{"files": [{"name": "../a.csv", "rows": [{}]}]}', 422, "leads elsewhere"),
}


@pytest.mark.parametrize("case", BODIES)
def test_json(api: Api, case: str) -> None:
    body, status, phrase = BODIES[case]
    answer = api.post(JSON, body=body)
    assert (answer.status, phrase in answer.text) == (status, True), answer.text


def test_json_may_begin_with_a_mark(api: Api) -> None:
    assert api.post(JSON, body=b"\xef\xbb\xbf" + (ROWS % ROW % "1").encode()).status == 200


def test_a_long_id_stays_the_number_that_it_is(api: Api) -> None:
    row = '{"account": 123456789012345678901234567890, "date": "2026-01-02", "amount": "x", "city": "C1"}'
    answer = api.post(JSON, body=(ROWS % f"{row}, {ROW % 1}").encode())
    assert "123456789012345678901234567890" in told(answer)["files"][0]["rejects"][0]["raw"]


@pytest.mark.parametrize(
    "kind", ["application/xml", "text/html", "multipart/mixed; boundary=x", "image/gif", "x", "", ";"]
)
def test_other_types_are_not_taken_and_those_that_are_are_told(api: Api, kind: str) -> None:
    answer = api.post(("Content-Type", kind), body=FILE)
    assert (answer.status, "multipart/form-data, application/json" in answer.text) == (415, True), answer.text


def test_packed_bodies_are_not_taken(api: Api) -> None:
    assert api.post(("Content-Encoding", "gzip"), body=FILE).status == 415


@pytest.mark.parametrize("name", ["a%ff.csv", "é.csv", "a%00.csv", "%2e%2e/a.csv", "/a.csv", ""])
def test_names_in_the_header(api: Api, name: str) -> None:
    assert api.post(("X-File-Name", name), body=FILE).status == 422


async def never() -> dict[str, Any]:
    """A client that says nothing more, and stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> dict[str, Any]:
    """A client that went away."""
    return {"type": "http.disconnect"}


def answer_to(api: Api, receive: Callable[[], Awaitable[dict[str, Any]]]) -> tuple[int, str]:
    """Status and detail of what is answered."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": api.path, "query_string": b"", "headers": raw([HOST])}
    asyncio.run(api.app(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])["detail"]


def test_no_body_takes_longer_than_a_request_may(settings: Settings) -> None:
    status, detail = answer_to(toy_api(settings, seconds=0.01), never)
    assert (status, "(`serving.limits.seconds`)" in detail) == (408, True)


def test_a_client_that_goes_away_is_no_error_of_ours(api: Api) -> None:
    status, detail = answer_to(api, gone)
    assert (status, "connection ended" in detail) == (400, True)
