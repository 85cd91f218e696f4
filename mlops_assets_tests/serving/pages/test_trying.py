"""Try it: files or rows in a browser, answered as the API answers them."""

from __future__ import annotations

import base64
import html
import io
import re
from typing import Any

import pytest
from PIL import Image, ImageDraw

from mlops_assets.serving.answering.batcher import Busy
from mlops_assets.serving.entrance.keys import right_for
from mlops_assets.serving.keeping.stored import JournalStore
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import Answer
from mlops_assets_tests.helpers.asked import BOUNDARY, Api, api_of, form, part, ring_api, told, toy_api, zipped
from mlops_assets_tests.helpers.keeping import keeping
from mlops_assets_tests.helpers.toy import toy

HEADER = b"account,date,amount,city,kind\n"
FILE = (
    HEADER + b"A1,2026-01-02,1.5,C1,\nA1,2026-02-30,2.5,C1,\n\nA1,2026-01-04,6.5,C22,\n" + b"A1,2026-01-05,3,C1,\n" * 9
)
TOKEN = "of this browser"
COOKIE = ("Cookie", f"mlops_form={TOKEN}")
ROW = {"0.account": "A1", "0.date": "2026-01-02", "0.amount": "1.5", "0.city": "C1"}


@pytest.fixture
def api(settings: Settings) -> Api:
    return toy_api(settings)


def send(api: Api, *files: tuple[str, bytes], part_only: bool = False, **fields: str | list[str]) -> Answer:
    """Send a form as a browser does; of a list, a field each."""
    body = b""
    given = {"token": TOKEN, **fields}
    for name, values in given.items():
        for value in [values] if isinstance(values, str) else values:
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            body += head.encode() + value.encode() + b"\r\n"
    body += b"".join(part(*file) for file in files) + f"--{BOUNDARY}--\r\n".encode()
    partial = (("HX-Request", "true"), ("HX-Request-Type", "partial")) if part_only else ()
    kind = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    return api.post(kind, COOKIE, *partial, body=body, path=path_of(api))


def path_of(api: Api) -> str:
    return f"/pages/{api.use_case.name}/try"


def cells(answer: Answer) -> list[list[str]]:
    """The rows of the table of an answer, as what is read."""
    rows = re.findall(r"<tr(?: class=\"rejected\")?>(<td.*?)</tr>", answer.text, re.S)
    return [[words(one) for one in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)] for row in rows]


def words(text: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", text).split()))


def carried(answer: Answer) -> dict[str, Any]:
    """The hidden fields by which a page carries what was sent to it."""
    (inner,) = re.findall(r'<form id="sent".*?</form>', answer.text, re.S)
    found: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', inner):
        found.setdefault(name, []).append(html.unescape(value))
    return found


def test_every_line_is_a_row_or_a_reject_and_stands_in_its_place(api: Api) -> None:
    answer = send(api, ("a.csv", FILE))
    assert (answer.status, "Answer of version 7" in answer.text) == (200, True)
    assert "1 file with 13 lines = 11 predictions + 2 rejected lines" in words(answer.text)
    first, second, third, *_ = cells(answer)
    assert first[:4] == ["1", "A1,2026-01-02,1.5,C1,", "FOOD", "1.000"]
    assert second[:2] == ["2", "A1,2026-02-30,2.5,C1,"]
    assert second[2].startswith("rejected type : 'date' is '2026-02-30'")
    assert third[0] == "3"
    assert [row[0] for row in cells(answer)] == [str(line) for line in range(1, 14)]


def test_the_table_is_that_of_the_api_with_the_file_sent_once(api: Api) -> None:
    kind, body = form(("a.csv", FILE), ("b.csv", FILE))
    page = send(api, ("a.csv", FILE), ("b.csv", FILE))
    for button, query in (("csv", ""), ("csv_all", "probabilities=all")):
        table = send(api, **{**carried(page), "as": button})
        assert table.text == api.post(kind, ("Accept", "text/csv"), body=body, query=query).text
        assert table.headers["content-disposition"] == 'attachment; filename="toy-predictions.csv"'
        assert table.headers["x-rejected"] == "4"
    assert send(api, ("a.csv", FILE), ("b.csv", FILE), **{"as": "csv_all"}).text == table.text


def test_a_table_that_people_open_in_a_spreadsheet_computes_nothing(api: Api) -> None:
    page = send(api, ("=HYPERLINK(1).csv", FILE))
    table = send(api, **{**carried(page), "as": "csv"})
    assert table.text.splitlines()[1].startswith("'=HYPERLINK(1).csv,1,FOOD,")
    exact = api.post(("X-File-Name", "=HYPERLINK(1).csv"), ("Accept", "text/csv"), body=FILE)
    assert exact.text.splitlines()[1].startswith("=HYPERLINK(1).csv,1,FOOD,"), "machines get it as it is"


def test_why_is_what_the_api_explains_as_a_part_and_as_a_page(api: Api) -> None:
    page = send(api, ("a.csv", FILE))
    (strongest, *_) = told(api.post(("X-File-Name", "a.csv"), body=FILE, query="explain=true&line=4"))["why"][
        "features"
    ]
    for part_only in (True, False):
        why = send(api, part_only=part_only, **{**carried(page), "why": "0:4"})
        assert why.text.count('class="told"') == 1
        assert ("<h1>" in why.text) is not part_only
        assert "Why line 4 is" in words(why.text)
        assert f"{strongest['name']} {strongest['value']} {strongest['strength']:+.3f}" in words(why.text)
    wrong = send(api, part_only=True, **{**carried(page), "why": "0:2"})
    assert (wrong.status, words(wrong.text)) == (422, "This row has no prediction.")


def test_a_form_of_rows_is_made_of_the_contract_and_holds_an_example(api: Api) -> None:
    page = api.get(path_of(api)).text
    assert re.findall(r'name="0\.(\w+)"', page) == ["account", "date", "amount", "city"]
    assert re.search(r'name="0.amount" type="number" value="[\d.]+"[^>]* step="any"', page)
    assert re.search(r'name="0.date" type="date" value="\d{4}-\d\d-\d\d"', page)
    example = dict(re.findall(r'name="(0\.\w+)" type="\w+" value="([^"]*)"', page))
    assert "1 file with 1 line = 1 prediction" in words(send(api, **example).text)


def test_rows_of_a_form_are_those_of_json(api: Api) -> None:
    rows = [{"account": "A1", "date": "2026-01-02", "amount": 1.5, "city": "C1"}]
    answer = api.post(
        ("Content-Type", "application/json"), body=b'{"files": [{"rows": %s}]}' % str(rows).replace("'", '"').encode()
    )
    (row,) = told(answer)["files"][0]["predictions"]
    ((_, raw, prediction, *_),) = cells(send(api, **ROW))
    assert (raw, prediction) == ("A1,2026-01-02,1.5,C1,", row["prediction"])


def test_a_number_is_one_whatever_decimal_sign_the_files_have(settings: Settings) -> None:
    comma = toy().model_copy(update={"files": toy().files.model_copy(update={"decimal": ",", "delimiter": ";"})})
    api = api_of(comma, toy_api(settings).loaded.model, settings)
    ((_, raw, *_),) = cells(send(api, **ROW))
    assert raw == "A1;2026-01-02;1,5;C1;"


def test_a_row_is_added_and_removed_without_a_script(api: Api) -> None:
    more = send(api, **ROW, **{"as": "add"})
    assert {*re.findall(r'name="(\d)\.', more.text)} == {"0", "1"}
    assert 'name="0.city" type="text" value="C1"' in more.text
    assert "Answer" not in more.text
    rows = {**ROW, **{name.replace("0.", "1."): value for name, value in ROW.items()}}
    assert {*re.findall(r'name="(\d)\.', send(api, **rows, **{"as": "remove"}).text)} == {"0"}
    assert "1 file with 2 lines = 2 predictions" in words(send(api, **rows).text)


def test_what_is_wrong_is_told_beside_the_form_which_keeps_its_rows(settings: Settings) -> None:
    api = toy_api(settings, bytes=100_000, files=2)
    many = send(api, *((f"{number}.csv", FILE) for number in range(3)))
    assert (many.status, "allowed are 2 (`serving.limits.files`)" in many.text) == (413, True)
    long = send(api, ("a.csv", FILE * 1_000))
    assert (long.status, "serving.limits.bytes" in long.text) == (413, True)
    wrong = send(api, **ROW, **{"0.size": "1", "0.name": "x"})
    assert (wrong.status, wrong.text.count("no column of the use case has this name")) == (422, 2)
    assert 'name="0.amount" type="number" value="1.5"' in wrong.text
    both = send(api, ("a.csv", FILE), version="0", as_of="soon")
    assert re.findall(r"<li><code>(\w+)</code>", both.text) == ["version", "as_of"]
    none = send(api)
    assert (none.status, "The request has no file." in none.text) == (422, True)
    foreign = send(api, ("a.csv", FILE), token="of another")
    assert (foreign.status, "not made for this browser" in foreign.text) == (403, True)


def test_a_file_that_is_refused_is_told_with_its_reason(api: Api) -> None:
    answer = send(api, ("a.csv", b"zzz\n"), ("b.txt", FILE))
    assert answer.status == 422
    assert [row[0] for row in cells(answer)] == ["file", "file"]
    assert "missing_column" in words(answer.text)
    assert 'id="sent"' not in answer.text


def test_without_a_champion_the_page_says_why_and_what_to_do(api: Api) -> None:
    page = api.get(f"{path_of(api)}?as_of=2026-01-01")
    assert (page.status, "the gate refused: no model is good enough" in page.text) == (200, True)
    answer = send(api, ("a.csv", FILE), as_of="2026-01-01")
    assert (answer.status, "the gate refused: no model is good enough" in answer.text) == (409, True)


def test_who_comes_when_too_much_waits_is_told_when_to_come_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: Any) -> None:
        raise Busy(3, "1,000 rows wait; ask again in 3 s.")

    monkeypatch.setattr(api.app.state.service.batcher, "ask", ask)
    answer = send(api, ("a.csv", FILE))
    assert (answer.status, answer.headers["retry-after"], "ask again in 3 s" in answer.text) == (503, "3", True)


def test_hostile_rows_are_shown_as_text(api: Api) -> None:
    city = "<script>alert(1)</script>\u202eevil\x1b[31m" + "L" * 10_000
    rows = f"A1,2026-01-02,1.5,{city},\nA1,<b>,1.5,C1,\n".encode()
    page = send(api, ("<img src=x>.csv", HEADER + rows))
    why = send(api, **{**carried(page), "why": "0:1"})
    for answer in (page, why):
        assert answer.status == 200
        for raw in ("<script>alert", "<img src", "<b>", "\u202e", "\x1b"):
            assert raw not in answer.text
    assert "&lt;script&gt;alert(1)" in page.text


def test_what_is_more_than_a_page_carries_is_answered_all_the_same(api: Api) -> None:
    rows = HEADER + b"A1,2026-01-02,1.5,C1,\n" * 60_000
    answer = send(api, ("a.csv", rows))
    assert "60,000 predictions + 0 rejected lines; the first 100 of them are shown" in words(answer.text)
    assert 'id="sent"' not in answer.text
    assert 'name="why"' not in answer.text
    assert len(answer.text) < 200_000


def test_what_came_back_damaged_is_told(api: Api) -> None:
    answer = send(api, name="a.csv", data="%%%")
    assert (answer.status, "did not come back whole" in answer.text) == (400, True)


def test_a_picture_is_shown_beside_its_answer(compound_rings: UseCase, settings: Settings) -> None:
    api = ring_api(compound_rings, settings)
    drawn = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(drawn).regular_polygon((150, 150, 40), 6, outline="black")
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    shown = f'src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"'
    alone = send(api, ("1.png", buffer.getvalue()))
    assert (alone.status, alone.text.count(shown)) == (200, 1)
    why = send(api, part_only=True, **{**carried(alone), "why": "0:1"})
    assert why.text.count(shown) == 1
    records = b'[{"compound_id": 1, "image": "b.png"}, {"compound_id": 2, "image": "a.png"}, {"compound_id": 3}]'
    packed = zipped([("d/c.json", records), ("d/a.png", buffer.getvalue()), ("d/b.png", buffer.getvalue())])
    both = send(api, ("all.zip", packed))
    assert both.text.count(shown) == 2
    assert "no_picture" in words(both.text)
    assert api.get(path_of(api)).text.count("<fieldset") == 0  # its rows come in files alone
    example = send(api, **{"as": "example"})
    assert (example.status, example.text.count('src="data:image/png')) == (200, 2)


def test_a_text_is_typed_into_a_field_of_several_lines(settings: Settings) -> None:
    topics = load_use_case(Settings.from_environment().use_cases[0] / "topics")
    page = api_of(topics, toy_api(settings).loaded.model, settings).get("/pages/topics/try").text
    assert re.search(r'<textarea id="cell-0-text" name="0.text"[^>]*>\n[^<]+</textarea>', page)
    assert "Add a row" not in page


def test_a_request_that_is_kept_is_kept_once_however_often_it_is_looked_at(settings: Settings) -> None:
    use_case = keeping(toy())
    workspace = Workspace(settings)
    store = JournalStore(workspace, [use_case])
    model = toy_api(settings).loaded.model
    api = api_of(use_case, model, settings, store=store)
    assert "What is sent here is kept" in api.get(path_of(api)).text
    page = send(api, ("a.csv", FILE))
    send(api, **{**carried(page), "as": "csv"})
    send(api, **{**carried(page), "why": "0:1"})
    store.close()
    (kept,) = (workspace.settings.raw / use_case.name).rglob("*.csv")
    assert carried(page)["request"][0] in str(kept)
    assert kept.read_bytes() == FILE


def test_rows_are_tried_with_the_right_to_predict() -> None:
    assert right_for("POST", "/pages/topics/try") == "predict"
    assert right_for("GET", "/pages/topics/try") == "read"
