"""Files that records refer to: fetched side by side where a server is waited for, and told of as one by one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mlops_assets.journey.read.attachments import Attachments, named_in
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.sources.folder import Entry, FolderSource, SourceError
from mlops_assets.plugins import NotAttached
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase

DAY = "2026-01-01"


class Server(FolderSource):
    """A folder that answers when four wait for it, or nobody has come for a while, as a server far away might."""

    readers = 4

    def __init__(self, root: Path) -> None:
        super().__init__(root, ".json")
        self.asked: list[str] = []
        self.together = 0
        self._waiting = threading.Barrier(self.readers, timeout=0.05)

    def read(self, day: str, entry: Entry) -> bytes:
        self.asked.append(entry.path)
        try:
            self._waiting.wait()
            self.together += 1
        except threading.BrokenBarrierError:
            self._waiting.reset()
        return super().read(day, entry)


@pytest.fixture
def source(settings: Settings) -> Server:
    return Server(settings.raw / "compound_rings")


def listed(source: Server, use_case: UseCase, settings: Settings, **files: bytes) -> Place:
    """The manifest of a day of pictures."""
    for name, data in files.items():
        path = source.root / f"day={DAY}" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return list_day(use_case, source, Lake(settings.lake, use_case.name).raw_files, DAY).path


def test_what_the_files_name_is_fetched_side_by_side_before_it_is_asked_for(
    source: Server, compound_rings: UseCase, settings: Settings
) -> None:
    files = {f"p{number:02d}": b"%d" % number for number in range(40)}
    manifest = listed(source, compound_rings, settings, **files)
    names = [f"{name}.png" for name in files]
    attached = Attachments(source, DAY, manifest, 1_000, names)
    assert [attached(0, name) for name in names] == [*files.values()]
    assert sorted(source.asked) == names, "each once"
    assert source.together > 30


def test_a_wrong_guess_changes_nothing_of_what_is_read_and_told(
    source: Server, compound_rings: UseCase, settings: Settings
) -> None:
    manifest = listed(source, compound_rings, settings, a=b"1", b=b"2", c=b"3", large=b"12345", gone=b"6", new=b"7")
    attached = Attachments(source, DAY, manifest, 4, ["none.png", "large.png", "c.png", "b.png", "gone.png", "new.png"])
    (source.root / f"day={DAY}" / "gone.png").unlink()
    (source.root / f"day={DAY}" / "new.png").write_bytes(b"8!")
    assert [attached(0, f"{name}.png") for name in "aba"] == [b"1", b"2", b"1"]
    for name, said in (("none", "there is no 'none.png'"), ("large", "5 bytes, allowed are 4")):
        with pytest.raises(NotAttached, match=said):
            attached(0, f"{name}.png")
    for name, told in (("gone", "vanished"), ("new", "changed after the day was listed")):
        with pytest.raises(SourceError, match=told):
            attached(0, f"{name}.png")
    assert attached(1, "c.png") == b"3"


def test_names_are_found_in_the_text_of_any_format() -> None:
    found = named_in(
        [b'[{"image": "a/1.png"},\n{"image":"2.jpg"}]', None, b"id;picture\n1;b/3.png\n", b"x" * 5_000 + b".png"],
        ["one.json", "two.json", "api/7f07/three.csv", "four.json"],
        [".png", ".jpg"],
    )
    assert [*found][:3] == ["a/1.png", "2.jpg", "api/7f07/b/3.png"]
    assert [*named_in([b"a.png"], ["a.json"], [])] == []
