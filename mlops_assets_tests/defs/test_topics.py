"""Topics: one text file a record in whatever encoding, labelled by its folder; a model of its words."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.defs.topics.reader import MOST, TextReader, decode
from mlops_assets.defs.topics.sample import LONGEST, TOPICS, draw
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.train.versions import rebuild
from mlops_assets.plugins import FileRefused, NotAttached, RawFile, Record
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets_tests.helpers.paths import REAL_DATA
from mlops_assets_tests.helpers.stage import Stage

REAL = REAL_DATA / "topics"
HISTORY, SCORED, ODD = "2026-01-01", "2026-01-02", "2026-01-03"
TEXT = "Über naïve señores: the match begins — now."


@pytest.fixture(scope="module")
def topics() -> UseCase:
    return load_use_case(OWN_USE_CASES / "topics")


# -- encodings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_a_text_is_the_same_in_every_encoding_that_is_read(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)).text == TEXT


def test_a_big_endian_text_with_its_mark_is_read() -> None:
    assert decode(("\ufeff" + TEXT).encode("utf-16-be")) == (TEXT, "utf_16", True)


def test_latin_1_is_read_as_windows_1252_of_which_it_is_a_part() -> None:
    assert decode("déjà vu ½".encode("latin-1")) == ("déjà vu ½", "windows_1252", True)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (TEXT.encode("utf-16-le"), "nul_bytes"),
        (TEXT.encode("utf-16")[:-1], "encoding"),
        (b"\xef\xbb\xbfcut \xc3", "encoding"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "nul_bytes"),
        (bytes(range(1, 32)) * 9, "binary"),
        ("caf\u00e9".encode()[:-1], "encoding"),
        ("caf\u00e9 \u00e9".encode() + b" \xe9 \xe9 \xe9", "encoding"),
        ("\u306e\u30cb\u30e5\u30fc\u30b9".encode("shift-jis") + b"\x81", "encoding"),
    ],
    ids=[
        "UTF-16 without its mark",
        "cut off",
        "UTF-8 that is none",
        "a picture",
        "controls",
        "cut in its only letter",
        "half UTF-8",
        "no Windows-1252 either",
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(data: bytes, rule: str) -> None:
    with pytest.raises(FileRefused) as error:
        decode(data)
    assert error.value.rule == rule


@pytest.mark.parametrize("at", range(1, len((TEXT * 2).encode())))
def test_utf_8_that_is_cut_anywhere_is_never_taken_for_another_encoding(at: int) -> None:
    data = (TEXT * 2).encode()[:at]
    with contextlib.suppress(FileRefused):
        found = decode(data)
        assert found.encoding == "utf_8"
        assert found.whole or found.text.endswith("\N{REPLACEMENT CHARACTER}")


def nothing(path: str) -> bytes:
    raise NotAttached(path)


@pytest.mark.parametrize(
    "sign", ["\u200b", "\u2060", "\ufeff", "\xad", "\u3000", "\u2800", "\u3164", "\u034f", "\ufe0f"]
)
def test_a_text_at_which_nothing_is_seen_is_empty(sign: str) -> None:
    with pytest.raises(FileRefused) as error:
        list(TextReader().read(RawFile("SPORTS/a.txt", f" {sign}\n{sign} ".encode(), nothing)))
    assert error.value.rule == "empty_file"


@pytest.mark.parametrize("text", ["a", "7", "!?", "☺", "日", "\u0301e"])
def test_a_single_sign_that_is_seen_is_a_text(text: str) -> None:
    *_, record = TextReader().read(RawFile("a.txt", text.encode(), nothing))
    assert isinstance(record, Record)
    assert record.values["text"] == text


def test_utf_8_with_a_bad_byte_stays_utf_8_and_that_is_told() -> None:
    data = (TEXT + TEXT).encode().replace("ï".encode(), b"\xff", 1)
    assert decode(data) == ((TEXT + TEXT).replace("ï", "\N{REPLACEMENT CHARACTER}", 1), "utf_8", False)


# -- the drawn texts ----------------------------------------------------------------------------------------------------


def test_each_drawn_file_lies_in_the_folder_of_its_topic_and_can_be_read() -> None:
    files = list(draw(np.random.default_rng(0), dt.date(2026, 1, 1), 300, 1, 0.0, labelled=True))
    assert Counter(path.partition("/")[0] for path, _ in files).keys() == TOPICS.keys()
    own = [
        sum(word in TOPICS[path.partition("/")[0]].split() for word in decode(data).text.lower().split())
        for path, data in files
    ]
    assert np.mean(own) > 4, "words of its topic"
    kinds = Counter(data[:2] == b"\xff\xfe" for _, data in files)
    assert kinds[True] > 5, "some are UTF-16"


def test_a_file_to_be_scored_lies_in_no_folder() -> None:
    files = draw(np.random.default_rng(0), dt.date(2026, 1, 1), 9, 1, 0.0, labelled=False)
    assert not any("/" in path for path, _ in files)


# -- the champion and its days --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(topics: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A champion learned from one day; a day to be scored; a day of odd files."""
    with Stage.of(topics, tmp_path_factory.mktemp("topics") / "home") as stage:
        stage.sample(HISTORY, files=400)
        stage.sample(SCORED, files=100, labelled=False)
        odd = {
            "TECH/labelled.txt": b"A robot with a laptop.",
            "TECH/today/deep.txt": b"The browser asks for a password.",
            "CHESS/unknown.txt": b"A topic that nobody listed.",
            "plain.txt": b"Garlic, butter and a hot oven.",
            "notes.md": b"no data",
            "empty.txt": b"",
            "blank.txt": b" \n\n ",
            "no_width.txt": "\u200b\ufeff\u200d \u2060".encode(),
            "damaged.txt": (TEXT + " A laptop.").encode().replace("ñ".encode(), b"\xff"),
            "picture.txt": b"\x89PNG\r\n\x1a\n" + bytes(20),
            "half.txt": TEXT.encode("utf-16")[:-1],
            "long.txt": b"goal " * 20_000,
            "huge.txt": b"x" * (LONGEST + 1),
        }
        for name, data in odd.items():
            path = stage.folder(ODD) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        stage.run(HISTORY, ODD, train=True)
        yield stage


@pytest.fixture(scope="module")
def champion(stage: Stage) -> Version:
    with stage.settings() as settings:
        found = Registry(settings).champion("topics")
    assert found is not None
    return found


def test_the_champion_knows_topics_by_their_words(champion: Version) -> None:
    assert champion.about.metrics["macro_f1"] > 0.8
    assert champion.serving(()).columns == {"text": "text"}


def test_texts_to_be_scored_get_the_topic_that_they_were_drawn_for(
    stage: Stage, topics: UseCase, tmp_path: Path
) -> None:
    list(write_sample(topics, tmp_path, dt.date.fromisoformat(SCORED), 100, 1, 0.0, 7))
    truth = {path.name: path.parent.name for path in tmp_path.rglob("*.txt")}
    said = stage.published("predictions", SCORED)
    assert len(said) == len(truth) == 100
    assert np.mean([truth[one["account_id"]] == one["prediction"] for one in said]) > 0.8


def test_odd_files_are_read_or_refused_each_with_its_reason(stage: Stage) -> None:
    rejects = {one["file"]: (one["rule"], one["line"]) for one in stage.published("rejects", ODD)}
    assert rejects == {
        "CHESS/unknown.txt": ("allowed", 1),
        "notes.md": ("unreadable", None),
        "empty.txt": ("empty_file", None),
        "blank.txt": ("empty_file", None),
        "no_width.txt": ("empty_file", None),
        "picture.txt": ("nul_bytes", None),
        "half.txt": ("encoding", None),
        "huge.txt": ("too_large", None),
    }
    rows = {one["document"]: one for one in stage.published("rows", ODD)}
    assert {name: row["topic"] for name, row in rows.items()} == {
        "labelled.txt": "TECH",
        "deep.txt": "TECH",
        "plain.txt": None,
        "long.txt": None,
        "damaged.txt": None,
    }
    read = stage.table("rows").days()[ODD].accounting
    assert read.noticed == {"read_as_utf_8": 6, "replaced_bytes": 1, "absent_topic": 3}
    assert (len(rows["long.txt"]["text"]), rows["long.txt"]["characters"]) == (MOST - 1, 99_999)
    said = {one["account_id"]: one["prediction"] for one in stage.published("predictions", ODD)}
    assert said.pop("damaged.txt")
    assert said == {"labelled.txt": "TECH", "deep.txt": "TECH", "plain.txt": "FOOD & DRINK", "long.txt": "SPORTS"}


def test_the_folder_is_not_among_what_the_model_sees(stage: Stage, champion: Version) -> None:
    assert "path" not in champion.serving(()).sql
    assert list(champion.serving(()).columns) == ["text"]


def test_its_version_is_rebuilt_byte_by_byte(stage: Stage, champion: Version, tmp_path: Path) -> None:
    assert rebuild(champion, Lake(stage.home / "lake", "topics"), tmp_path).equal


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not beside this checkout")
def test_the_real_files_are_read_and_predicted(stage: Stage, tmp_path: Path) -> None:
    day = "2026-01-04"
    with stage.copy(tmp_path / "home") as copy:
        copy.folder(day).mkdir(parents=True)
        for path in REAL.glob("*.txt"):
            (copy.folder(day) / path.name).write_bytes(path.read_bytes())
        copy.run(day)
        assert copy.published("rejects", day) == []
        assert len(copy.published("predictions", day)) == 3


@pytest.mark.parametrize(
    ("path", "topic"), [("api/7f07/a.txt", None), ("api/7f07/SPORTS/a.txt", "SPORTS"), ("a.txt", None)]
)
def test_a_kept_request_has_the_label_that_its_sender_gave_it(topics: UseCase, path: str, topic: str | None) -> None:
    pack = open_reader(topics, lambda *_: b"").read([b"A text."], [path])
    assert (pack.columns["topic"].to_pylist()[0] or None) == topic
