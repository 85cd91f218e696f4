"""Raw files from a class of a user's own; what it answers is looked at, so that a mistake in it is told as its own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.plugins import PluginError, load_plugin
from mlops_assets.plugins.sources import Entry, Source, SourceError
from mlops_assets.use_case.partitions import DAYS, Partitions


class OwnSource:
    """Lists and reads by an object of a user's class.

    Parameters
    ----------
    path
        Import path of the class.
    parameters
        Its arguments.
    partitions
        Those of the use case, whose days it tells.

    Raises
    ------
    PluginError
        If the object cannot be made, or not be sent to another process.
    """

    def __init__(
        self,
        path: str,
        parameters: Mapping[str, Any],
        partitions: Partitions = DAYS,
    ) -> None:
        self.partitions = partitions
        self.path = path
        self.source = load_plugin(path, Source, parameters)
        # workers get it by pickle: told here, not in the middle of a day
        try:
            pickle.dumps(self.source)
        except Exception as error:  # whatever an object says that cannot be pickled
            reason = "an object of it cannot be sent to a worker process; open connections in list() and read()"
            raise PluginError(f"{path}: {reason}: {error}") from None

    def days(self) -> list[str]:
        """The days that were delivered, in order."""
        with self._asked("days()"):
            days = list(self.source.days())
            for day in days:
                self._see("days()", day, str, f"texts like {self.partitions.example}")
                self.partitions.exact(day)
        return sorted(days)

    def place(self, day: str) -> str:
        """Where the files of a day lie or would lie, for people."""
        with self._asked(f"place({day!r})"):
            return str(self.source.place(day))

    def delivered(self, day: str) -> bool:
        """Whether anything of the day was delivered."""
        with self._asked(f"delivered({day!r})"):
            return bool(self.source.delivered(day))

    def has(self, day: str, name: str) -> bool:
        """Whether a file of that name lies beside those of a day."""
        with self._asked(f"has({day!r}, {name!r})"):
            return bool(self.source.has(day, name))

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Every file of a day behind an entry; a name that comes twice is an error."""
        call, seen = f"list({day!r})", set[str]()
        with self._asked(call):
            for entry in self.source.list(day, after):
                self._see(call, entry, Entry, "entries (mlops_assets.sources.Entry)")
                if entry.path in seen:
                    raise SourceError(f"{self.path}.{call} gives {entry.path!r} twice")
                seen.add(entry.path)
                yield entry

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of a file as it was listed; an OSError is what it is for a folder: this file is refused."""
        call = f"read({day!r}, {entry.path!r})"
        with self._asked(call, (OSError,)):
            data = self.source.read(day, entry)
            self._see(call, data, bytes, "bytes")
        return data

    @contextmanager
    def _asked(self, call: str, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Tells an error of the class with the call that it came from."""
        try:
            yield
        # NotImplementedError says that a listing cannot begin in the middle
        except (MlopsError, NotImplementedError):
            raise
        except passing:
            raise
        except Exception as error:
            raise SourceError(f"{self.path}.{call} failed: {type(error).__name__}: {error}") from error

    def _see(self, call: str, answer: object, kind: type, expected: str) -> None:
        if not isinstance(answer, kind):
            raise SourceError(f"{self.path}.{call} gives a {type(answer).__name__}, expected {expected}")
