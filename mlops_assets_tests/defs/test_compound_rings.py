"""`compound_rings`: faces of a drawing are counted, every bad record or picture has its rule, and it all runs as a day."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from mlops_assets.defs.compound_rings.picture import PictureRefused, measure, open_picture
from mlops_assets.defs.compound_rings.reader import CompoundReader
from mlops_assets.defs.compound_rings.sample import DIRT, draw
from mlops_assets.journey.model.registry import Registry
from mlops_assets.plugins import BadRecord, FileRefused, NotAttached, RawFile, Record
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.paths import REAL_DATA
from mlops_assets_tests.helpers.stage import Stage

REAL = REAL_DATA / "compound_rings"
HISTORY, SCORED = "2026-01-01", "2026-01-02"


def polygon(corners: int, at: tuple[float, float], size: float) -> list[tuple[float, float]]:
    angles = np.arange(corners) * 2 * np.pi / corners
    return [(at[0] + size * float(np.cos(one)), at[1] + size * float(np.sin(one))) for one in angles]


def sheet(*shapes: Any, side: int = 300, mode: str = "RGB") -> Image.Image:
    """A drawing: each shape is a list of points, or a point, at which an atom's letter interrupts the lines."""
    picture = Image.new("RGB", (300, 300), "white")
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        if isinstance(shape, list):
            pen.line([*shape, shape[0]], "black", 2)
        else:
            (x, y) = shape
            pen.rectangle([x - 6, y - 6, x + 6, y + 6], "white")
            pen.line([x - 3, y - 3, x + 3, y + 3], "blue", 2)
    return picture.convert(mode).resize((side, side))


def png(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


HEXAGON = polygon(6, (100, 100), 40)
FUSED = polygon(6, (100 + 40 * 3**0.5 * float(np.cos(np.pi / 6)), 100 + 40 * 3**0.5 / 2), 40)
PENTAGON = polygon(5, (220, 220), 34)
CHAIN = [(20, 250), (60, 230), (100, 250), (60, 230)]


@pytest.mark.parametrize(
    ("shapes", "rings"),
    [
        ([HEXAGON], 1),
        ([HEXAGON, PENTAGON], 2),
        ([HEXAGON, FUSED], 2),
        ([HEXAGON, FUSED, PENTAGON, CHAIN], 3),
        ([HEXAGON, polygon(7, (220, 90), 46)], 2),
        ([CHAIN], 0),
    ],
    ids=["one", "apart", "fused", "with a chain", "seven corners", "none"],
)
def test_rings_are_the_round_faces_of_a_drawing(shapes: list[Any], rings: int) -> None:
    assert measure(np.asarray(sheet(*shapes)))["rings"] == rings


def test_a_letter_in_a_ring_leaves_a_gap_that_is_closed() -> None:
    found = measure(np.asarray(sheet(HEXAGON, PENTAGON, (140, 100))))
    assert (found["rings"], found["open_rings"]) == (2, 1)
    assert found["blue"] > 0


def test_the_strip_beside_a_double_bond_is_no_ring() -> None:
    first, second = HEXAGON[1], HEXAGON[2]
    strip = [first, second, (second[0] + 2, second[1] - 8), (first[0] - 2, first[1] - 8)]
    found = measure(np.asarray(sheet(HEXAGON, strip)))
    assert (found["rings"], found["small_faces"]) == (1, 1)


def test_a_bond_is_as_long_as_the_side_of_a_hexagon() -> None:
    assert measure(np.asarray(sheet(HEXAGON, FUSED)))["bond"] == pytest.approx(40, abs=2)


# -- pictures in other shapes, and pictures that are none --------------------------------------------------------------

DRAWING = sheet(HEXAGON, FUSED, PENTAGON)


def see_through() -> Image.Image:
    picture = DRAWING.convert("RGBA")
    pixels = np.array(picture)
    pixels[pixels.min(axis=2) > 200] = (0, 0, 0, 0)
    return Image.fromarray(pixels)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.asarray(DRAWING.convert("L")).astype(np.uint16) * 257)


SHAPES = {
    "grey": DRAWING.convert("L"),
    "black and white": DRAWING.convert("1"),
    "a palette": DRAWING.convert("P"),
    "see-through": see_through(),
    "16 bits": sixteen_bits(),
    "twice as large": DRAWING.resize((600, 600)),
    "half as large": DRAWING.resize((150, 150), Image.Resampling.BOX),
    "wide": ImageOps.expand(DRAWING, (100, 0), "white"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_another_size_or_mode_is_brought_into_shape(shape: str) -> None:
    pixels = open_picture(png(SHAPES[shape]))
    assert (pixels.shape, pixels.dtype) == ((300, 300, 3), np.uint8)
    assert measure(pixels)["rings"] == 3


def header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and unpacks to nothing."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def jpeg() -> bytes:
    file = io.BytesIO()
    DRAWING.save(file, "JPEG")
    return file.getvalue()


GOOD_PNG = png(DRAWING)
REFUSED = {
    "empty": (b"", "broken_picture", "the file is no PNG"),
    "text": (b"no picture at all, but long enough", "broken_picture", "the file is no PNG"),
    "JPEG": (jpeg(), "broken_picture", "the file is no PNG"),
    "cut off": (GOOD_PNG[: len(GOOD_PNG) // 2], "broken_picture", "the PNG is damaged"),
    "only a header": (header(300, 300), "broken_picture", "the PNG is damaged"),
    "damaged": (GOOD_PNG[:60] + b"????" + GOOD_PNG[64:], "broken_picture", "the PNG is damaged"),
    "a bomb": (header(50_000, 50_000), "picture_size", "50000 x 50000 pixels, sides must have 64 to 2000"),
    "no pixels": (header(0, 0), "picture_size", "0 x 0 pixels"),
    "tiny": (png(DRAWING.resize((32, 32))), "picture_size", "32 x 32 pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_usable_picture_is_refused_with_the_reason(name: str) -> None:
    data, rule, message = REFUSED[name]
    with pytest.raises(PictureRefused, match=message) as error:
        open_picture(data)
    assert error.value.rule == rule


@pytest.mark.parametrize(("colour", "said"), [("white", "nothing is drawn"), ("black", "100% of it is ink")])
def test_a_picture_that_is_no_line_drawing_is_refused(colour: str, said: str) -> None:
    with pytest.raises(PictureRefused, match=said):
        measure(open_picture(png(Image.new("RGB", (300, 300), colour))))


@given(st.integers(8, len(GOOD_PNG) - 1), st.integers(0, 7))
def test_a_single_bit_that_is_another_is_refused_wherever_it_is(place: int, bit: int) -> None:
    data = bytearray(GOOD_PNG)
    data[place] ^= 1 << bit
    with pytest.raises(PictureRefused):
        open_picture(bytes(data))


@pytest.mark.parametrize("at", [12, 8])
def test_a_picture_without_its_end_is_refused(at: int) -> None:
    with pytest.raises(PictureRefused, match="it has no end, cut off"):
        open_picture(GOOD_PNG[:-at])


def grey_png(*parts: bytes, width: int = 64, height: int = 64, interlaced: bool = False) -> bytes:
    """A PNG of eight bits a pixel, as its rows stand in the file; every checksum is right."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced))]
    chunks += [*((b"IDAT", part) for part in parts), (b"IEND", b"")]
    whole = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


ROWS = (b"\0" + b"\xff" * 60 + bytes(4)) * 64
PACKED = zlib.compress(ROWS)
# columns and rows of the passes of an interlaced picture
SIZES = ((8, 8), (8, 8), (16, 8), (16, 16), (32, 16), (32, 32), (64, 32))
PASSES = b"".join((b"\0" + b"\xf0" * columns) * rows for columns, rows in SIZES)


def test_pixels_may_lie_in_several_parts_or_be_interlaced() -> None:
    assert (open_picture(grey_png(PACKED[:9], PACKED[9:])) == open_picture(grey_png(PACKED))).all()
    assert (open_picture(grey_png(zlib.compress(PASSES), interlaced=True)) == 0xF0).all()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (grey_png(zlib.compress(ROWS[: -65 * 30])), "fewer pixels"),
        (grey_png(PACKED, height=65), "fewer pixels"),
        (grey_png(PACKED, height=600), "fewer pixels"),
        (grey_png(PACKED[:-4]), "fewer pixels"),
        (grey_png(zlib.compress(PASSES[:-1]), interlaced=True), "fewer pixels"),
        (grey_png(PACKED, interlaced=True), "fewer pixels"),
        (grey_png(), "fewer pixels"),
        (grey_png(zlib.compress(ROWS + b"\0")), "more pixels"),
        (grey_png(zlib.compress(ROWS + bytes(50_000_000))), "more pixels"),
        (grey_png(PACKED[:-1] + b"?"), "incorrect data check"),
    ],
)
def test_a_picture_with_another_number_of_pixels_than_it_says_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PictureRefused, match=said) as error:
        open_picture(data)
    assert error.value.rule == "broken_picture"


@given(st.integers(0, len(GOOD_PNG) - 1), st.binary(min_size=1, max_size=8))
def test_damage_anywhere_in_a_picture_is_refused_or_harmless(place: int, noise: bytes) -> None:
    with contextlib.suppress(PictureRefused):
        assert open_picture(GOOD_PNG[:place] + noise + GOOD_PNG[place + len(noise) :]).shape == (300, 300, 3)


# -- records -----------------------------------------------------------------------------------------------------------

COMPOUND = {"compound_id": 7, "num_rings": 3, "image": "images/7.png", "smiles": "c1ccccc1"}


def read(*compounds: Any, data: bytes | None = None) -> list[Record | BadRecord]:
    def attached(path: str) -> bytes:
        if path not in ("images/7.png", "images/damaged.png"):
            raise NotAttached(f"there is no {path!r}")
        return GOOD_PNG if path == "images/7.png" else b"?"

    return list(CompoundReader().read(RawFile("a.json", data or json.dumps(compounds).encode("utf-8-sig"), attached)))


def test_a_compound_becomes_its_id_its_answer_and_what_its_picture_tells() -> None:
    (record,) = read(COMPOUND)
    assert isinstance(record, Record)
    assert (record.values["compound_id"], record.values["num_rings"], record.values["rings"]) == ("7", "3", "3.000000")
    assert "smiles" not in record.values
    assert json.loads(record.raw) == COMPOUND


@pytest.mark.parametrize(("value", "told"), [(None, None), ("", None), ("3", "3"), (3.0, "3")])
def test_an_answer_may_be_absent_or_written_otherwise(value: Any, told: str | None) -> None:
    (record,) = read({**COMPOUND, "num_rings": value})
    assert isinstance(record, Record)
    assert record.values["num_rings"] == told


BAD = {
    "no object": (5, "wrong_type", "the record is a number"),
    "no id": ({**COMPOUND, "compound_id": None}, "missing_id", "the record has no 'compound_id'"),
    "an id of another type": ({**COMPOUND, "compound_id": [1]}, "wrong_type", "'compound_id' is [1]"),
    "an answer that is no number": ({**COMPOUND, "num_rings": "many"}, "wrong_type", "'num_rings' is 'many'"),
    "an answer that is no whole number": ({**COMPOUND, "num_rings": 2.5}, "wrong_type", "'num_rings' is 2.5"),
    "an answer that is true": ({**COMPOUND, "num_rings": True}, "wrong_type", "'num_rings' is True"),
    "an answer without end": ({**COMPOUND, "num_rings": float("inf")}, "wrong_type", "'num_rings' is Infinity"),
    "no picture": ({**COMPOUND, "image": None}, "no_picture", "the record has no 'image'"),
    "a picture of another type": ({**COMPOUND, "image": {}}, "wrong_type", "'image' is {}, expected a path"),
    "a picture that is absent": ({**COMPOUND, "image": "images/8.png"}, "no_picture", "there is no 'images/8.png'"),
    "a path that leads out": ({**COMPOUND, "image": "../7.png"}, "no_picture", "leads out of the folder"),
    "a broken picture": ({**COMPOUND, "image": "images/damaged.png"}, "broken_picture", "images/damaged.png: the file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_has_its_rule_and_the_next_one_is_read(name: str) -> None:
    compound, rule, message = BAD[name]
    bad, good = read(compound, COMPOUND)
    assert isinstance(bad, BadRecord)
    assert bad.rule == rule
    assert message in bad.message
    assert isinstance(good, Record)


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ('{"compound_id": 7, "num_rings": 2, "num_rings": 5, "image": "images/7.png"}', "duplicate_key", "'num_rings'"),
        ('{"compound_id": 7, "compound_id": 7, "image": "images/7.png"}', "duplicate_key", "'compound_id'"),
        ('{"compound_id": 7, "more": [{"a": 1, "a": 2}], "image": "images/7.png"}', "duplicate_key", "'a'"),
        ('{"compound_id": 7, "Num_Rings": 2, "image": "images/7.png"}', "other_key", "'Num_Rings', expected 'num_rings'"),
        ('{"compound_id": 7, "Núm_rings": 2, "image": "images/7.png"}', "other_key", "'Núm_rings', expected 'num_rings'"),
        ('{"compound_id": 7, "numRings": 2, "image": "images/7.png"}', "other_key", "'numRings', expected 'num_rings'"),
        ('{"compound_id": 1.0000000000000000001, "image": "images/7.png"}', "wrong_type", "is 1.0000000000000000001"),
        ('{"compound_id": 1e999999999999999999999, "image": "images/7.png"}', "wrong_type", "expected a whole number"),
        ('{"compound_id": 7, "image": 5}', "wrong_type", "'image' is 5, expected a path"),
    ],
)  # fmt: skip
def test_what_the_text_says_is_not_passed_over_and_is_kept_as_it_stood(text: str, rule: str, said: str) -> None:
    bad, good = read(data=f"[ {text} ,\n{json.dumps(COMPOUND)}\t]\n".encode())
    assert isinstance(bad, BadRecord)
    assert (bad.rule, bad.raw, said in bad.message) == (rule, text, True), bad.message
    assert good.raw == json.dumps(COMPOUND)


@pytest.mark.parametrize("written", ["9007199254740993.0", "9007199254740993", '"9007199254740993"'])
def test_a_long_number_is_read_to_its_last_digit(written: str) -> None:
    (record,) = read(data=f'[{{"compound_id": {written}, "image": "images/7.png"}}]'.encode())
    assert isinstance(record, Record)
    assert record.values["compound_id"] == "9007199254740993"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(json_values, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_records_are_counted_apart_from_the_parser(values: list[Any], indent: int | None, plain: bool) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=plain).encode(errors="replace")
    file = RawFile("a.json", data, lambda _: b"")
    assert CompoundReader().count(file) == len(values) == len(list(CompoundReader().read(file)))


def test_of_records_with_one_id_the_first_good_one_counts() -> None:
    kinds = [getattr(one, "rule", "good") for one in read({**COMPOUND, "image": None}, COMPOUND, COMPOUND)]
    assert kinds == ["no_picture", "good", "duplicate_id"]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"[\xff]", "encoding"),
        ("[]".encode("utf-16"), "encoding"),
        (b"[{", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"{}", "not_a_list"),
        (b"[1,]", "not_json"),
        (b"[1] 2", "not_json"),
        (b"[1 2]", "not_json"),
    ],
)
def test_a_file_that_is_no_list_is_refused(data: bytes, rule: str) -> None:
    with pytest.raises(FileRefused) as error:
        read(data=data)
    assert error.value.rule == rule


# -- days --------------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_bytes_and_pictures_differ_in_their_rings() -> None:
    first, again = (list(draw(np.random.default_rng(1), dt.date(2026, 1, 1), 2, 20, 0.0, True)) for _ in range(2))
    assert first == again
    compounds = [one for path, data in first if path.endswith(".json") for one in json.loads(data.decode("utf-8-sig"))]
    assert {one["num_rings"] for one in compounds} == {1, 2, 3, 4, 5}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A champion learned from drawn pictures; then a day to be scored with every kind of dirt."""
    with Stage.of(load_use_case(OWN_USE_CASES / "compound_rings"), tmp_path_factory.mktemp("rings") / "home") as stage:
        stage.sample(HISTORY, files=4, rows=50)
        raw, day = stage.home / "raw", dt.date.fromisoformat(SCORED)
        list(write_sample(stage.use_case, raw, day, len(DIRT), 6, 1.0, seed=7, labelled=False))
        stage.run(HISTORY, SCORED, train=True)
        yield stage


def test_the_champion_beats_the_largest_class_by_far(stage: Stage) -> None:
    with stage.settings() as settings:
        champion = Registry(settings).champion("compound_rings")
    assert champion is not None
    assert champion.about.candidate != "majority"
    metrics = champion.about.metrics
    assert metrics["accuracy"] > 0.75


def test_every_kind_of_dirt_is_accounted_for(stage: Stage) -> None:
    rejects = Counter(one["rule"] for one in stage.published("rejects", SCORED))
    expected = [
        "no_picture",
        "no_picture",
        "missing_id",
        "duplicate_id",
        "wrong_type",
        "broken_picture",
        "picture_size",
    ]
    assert rejects == Counter([*expected, "not_json"])
    counts = stage.table("rows").days()[SCORED].accounting.to_json()
    assert (counts["files"], counts["files_refused"]) == (9, 1)
    assert counts["lines"] == 8 * 6 + 1 == counts["rows"] + 7
    assert len(stage.published("predictions", SCORED)) == counts["rows"]


def test_the_model_sees_the_picture_alone(stage: Stage) -> None:
    with stage.settings() as settings:
        champion = Registry(settings).champion("compound_rings")
    assert champion is not None
    columns = set(champion.serving(stage.use_case.training.trusted).columns)
    assert columns == set(measure(np.asarray(DRAWING)))


needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not beside this checkout")


@needs_real_data
def test_the_real_records_are_read_and_the_two_bad_ones_told() -> None:
    from benchmarks.ring_folds import pictures

    _, _, labels, rejects = pictures(REAL)
    assert len(labels) == 80
    assert rejects == {"duplicate_id": 1, "missing_id": 1}


@needs_real_data
def test_on_the_real_pictures_the_forest_is_far_above_the_largest_class() -> None:
    from benchmarks.ring_folds import accuracies

    found = {name: float(values.mean()) for name, values in accuracies(REAL, repeats=1)}
    assert found["majority"] == pytest.approx(0.41, abs=0.01)
    assert found["forest"] > 0.9


@needs_real_data
def test_the_real_day_is_scored_by_a_champion_that_saw_drawn_pictures_only(stage: Stage, tmp_path: Path) -> None:
    with stage.copy(tmp_path / "home") as copy:
        folder = copy.folder("2026-01-03")
        (folder / "images").mkdir(parents=True)
        for path in [REAL / "compounds.json", *(REAL / "images").iterdir()]:
            (folder / path.relative_to(REAL)).write_bytes(path.read_bytes())
        copy.run("2026-01-03")
        known = {one["compound_id"]: one["num_rings"] for one in copy.published("rows", "2026-01-03")}
        said = {one["account_id"]: one["prediction"] for one in copy.published("predictions", "2026-01-03")}
    assert len(said) == 80
    assert np.mean([said[one] == known[one] for one in said]) > 0.6
