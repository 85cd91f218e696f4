"""The published table, fetched from a server that answers as Kaggle does: key and bounds, redirects, and what breaks."""

from __future__ import annotations

import base64
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops_assets.cli import group
from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.tools.tables.kaggle import downloaded
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.account_files import ROW, account_file

USER, SECRET = "somebody", "k3y-that-nobody-may-see"
PATH = "/api/v1/datasets/download/sufyant/brazilian-real-bank-dataset"


def archive(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return data.getvalue()


TABLE = account_file([ROW, ROW])
ARCHIVE = archive(**{"dataset/Transactions.csv": TABLE, "about.txt": b"hello"})


class Stub:
    """Kaggle, and the store that it sends to; `answer` says what the store does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.whole
        self.store = self._serve(self._stored)
        self.kaggle = self._serve(self._kaggle)

    def _serve(self, act: Callable[[BaseHTTPRequestHandler], None]) -> ThreadingHTTPServer:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.asked.append((self.path, self.headers.get("Authorization"), self.headers.get("Range")))
                act(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def _kaggle(self, handler: BaseHTTPRequestHandler) -> None:
        expected = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
        if handler.headers.get("Authorization") != expected:
            self.send(handler, 401, b"")
        elif handler.path != PATH:
            self.send(handler, 404, b"")
        else:
            handler.send_response(302)
            handler.send_header("Location", f"http://127.0.0.1:{self.store.server_port}/store/a.zip?signature=s3cr3t")
            handler.end_headers()

    def _stored(self, handler: BaseHTTPRequestHandler) -> None:
        self.answer(handler)

    def send(self, handler: BaseHTTPRequestHandler, status: int, data: bytes, length: int | None = None) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    def whole(self, handler: BaseHTTPRequestHandler) -> None:
        self.send(handler, 200, ARCHIVE)

    def close(self) -> None:
        for server in (self.kaggle, self.store):
            server.shutdown()
            server.server_close()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    made = Stub()
    monkeypatch.setenv("KAGGLE_API", f"http://127.0.0.1:{made.kaggle.server_port}/api/v1/")
    monkeypatch.setenv("KAGGLE_USER", USER)
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    yield made
    made.close()
    assert [*(tmp_path / "temporary").iterdir()] == []  # whatever happened


def fetch(use_case: UseCase) -> list[bytes]:
    with downloaded(use_case, []) as tables:
        return [table.read_bytes() for table in tables]


def test_the_table_comes_and_the_key_goes_to_kaggle_alone(stub: Stub, transactions: UseCase) -> None:
    assert fetch(transactions) == [TABLE]
    (first, key, _), (second, none, _) = stub.asked
    assert first == PATH
    assert key is not None
    assert second.startswith("/store/")
    assert none is None


def test_a_download_that_breaks_off_is_gone_on_with(stub: Stub, transactions: UseCase) -> None:
    half = len(ARCHIVE) // 2

    def cut(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        if asked is None:
            stub.send(handler, 200, ARCHIVE[:half], len(ARCHIVE))
        else:
            stub.send(handler, 206, ARCHIVE[int(asked.removeprefix("bytes=").removesuffix("-")) :])

    stub.answer = cut
    assert fetch(transactions) == [TABLE]
    assert stub.asked[-1][2] == f"bytes={half}-"


def test_a_server_that_begins_anew_is_followed(stub: Stub, transactions: UseCase) -> None:
    answers = iter([(ARCHIVE[:50], len(ARCHIVE)), (ARCHIVE, len(ARCHIVE))])
    stub.answer = lambda handler: stub.send(handler, 200, *next(answers))
    assert fetch(transactions) == [TABLE]


@pytest.mark.parametrize(
    ("status", "data", "told"),
    [
        (200, b"<html>sign in</html>", "no ZIP archive"),
        (200, archive(other=b"x"), "no file that ends in .csv; it has: other"),
        (200, archive(**{"bomb.csv": bytes(9 << 20)}), "bomb"),
        (403, b"", "accept its terms"),
        (404, b"", "no such data set"),
        (500, b"", "answers 500; try again later"),
    ],
)
def test_what_is_no_data_set_is_told(stub: Stub, transactions: UseCase, status: int, data: bytes, told: str) -> None:
    stub.answer = lambda handler: stub.send(handler, status, data)
    with pytest.raises(MlopsError, match=told) as caught:
        fetch(transactions)
    assert SECRET not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_download_that_never_comes_is_given_up(stub: Stub, transactions: UseCase) -> None:
    stub.answer = lambda handler: stub.send(handler, 200, b"", 100)
    with pytest.raises(MlopsError, match="cannot be fetched"):
        fetch(transactions)
    assert len(stub.asked) == 2 * 3


def test_a_member_goes_nowhere_but_where_it_is_put(stub: Stub, transactions: UseCase, tmp_path: Path) -> None:
    stub.answer = lambda handler: stub.send(handler, 200, archive(**{"../../../evil.csv": TABLE}))
    assert fetch(transactions) == [TABLE]
    assert not [*tmp_path.rglob("evil*")]


def test_nothing_is_sent_in_the_clear_to_another_machine(
    stub: Stub, transactions: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API", "http://example.org/api/v1")
    with pytest.raises(MlopsError, match="only https is fetched from"):
        fetch(transactions)


def test_a_wrong_key_is_told_and_not_shown(stub: Stub, transactions: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "wrong-key-of-mine")
    with pytest.raises(MlopsError, match="look at KAGGLE_USER and KAGGLE_KEY") as caught:
        fetch(transactions)
    assert "wrong-key-of-mine" not in str(caught.value)


def test_without_key_or_data_set_nothing_is_asked(
    stub: Stub, transactions: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(UsageError, match="set KAGGLE_USER and KAGGLE_KEY"):
        fetch(transactions)
    with pytest.raises(UsageError, match="no `import.kaggle`"):
        fetch(transactions.model_copy(update={"imports": None}))
    assert stub.asked == []


def test_the_command_imports_what_it_fetched(stub: Stub, tmp_path: Path) -> None:
    done = CliRunner().invoke(group.cli, ["import", "transactions", "--download", "--raw", str(tmp_path / "raw")])
    assert done.exit_code == 0, done.output
    assert "2 rows in 1 files of 1 days" in done.output
    assert SECRET not in done.output
    neither = CliRunner().invoke(group.cli, ["import", "transactions"])
    assert neither.exit_code != 0
