"""Which version was champion when, and why: an append-only list that says who is champion now.

Each change is a file with the next number. It appears whole or not at all, and only if nobody took that number: so a
process that is killed leaves either the old champion or the new one, and of two that change at once one is told.

The hashes of every version are pinned here, as it is registered and as it becomes champion. MLflow's store has them,
too, but whoever may write that can change a file and its hash together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.integrity import document, read_json
from mlops_assets.storage.places import Place, create
from mlops_assets.use_case.partitions import DAYS, Partitions

CHOICE = "change-"
"""What scores a day again: the version that a change made champion, by its number. It stands with the publication."""


def choice_of(number: int) -> str:
    """What says that the version that a change made champion scores a day again."""
    return f"{CHOICE}{number}"


def change_of(choice: str) -> int | None:
    """The number of the change in such a choice; None of any other."""
    number = choice.removeprefix(CHOICE)
    return int(number) if choice != number and number.isdecimal() else None


class HistoryConflict(MlopsError):
    """Somebody else changed the champion in the meantime."""


@dataclass(frozen=True)
class Hashes:
    """What a version is known by; empty where nobody knows it.

    Attributes
    ----------
    serving_sha256, judged_sha256
        Hashes of the model that predicts and of the one that was judged.
    about_sha256
        Hash of its card, `about.json`.
    """

    serving_sha256: str = ""
    judged_sha256: str = ""
    about_sha256: str = ""


@dataclass(frozen=True)
class Change:
    """One change of the champion.

    Attributes
    ----------
    number
        Its place in the history, from 1.
    when
        UTC, ISO 8601.
    who
        A user, or the Dagster run whose gate decided.
    action
        `promote` or `rollback`.
    version, before
        The new champion, and the one before; None for the first.
    why
        The reason given.
    verdict
        What the gate said of the new champion when it was trained.
    sha256
        Hash of the model that predicts: the number alone could mean another model in another store.
    judged_sha256, about_sha256
        Hashes of the model that was judged and of the card; an earlier release did not tell them.
    retro_score
        The days that are scored again by the new champion, as `FIRST/LAST`; empty, and not written, where none are.
    """

    number: int
    when: str
    who: str
    action: str
    version: int
    before: int | None
    why: str
    verdict: str
    sha256: str = ""
    judged_sha256: str = ""
    about_sha256: str = ""
    retro_score: str = ""

    @property
    def hashes(self) -> Hashes:
        """What the new champion is known by."""
        return Hashes(self.sha256, self.judged_sha256, self.about_sha256)

    def written(self) -> dict[str, Any]:
        """What is stored of it: the keys of before where no days are scored again, which an older release knows."""
        told = asdict(self)
        if not self.retro_score:
            del told["retro_score"]
        return told

    def was_made_by(self, day: str, partitions: Partitions = DAYS) -> bool:
        """Whether it was made before the end of a day."""
        return partitions.key(dt.datetime.fromisoformat(self.when)) <= day


@dataclass(frozen=True)
class Refusal:
    """That somebody decided against a version; it changes no champion, and who promotes the version overrules it.

    Attributes
    ----------
    version
        The version.
    when
        UTC, ISO 8601.
    who, why
        Who refused it, and the reason given.
    """

    version: int
    when: str
    who: str
    why: str


def undone(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """The promotions that stand, the present champion's last, and the changes that rollbacks took back, in order."""
    # each with the rollbacks that came back to it: they go when it goes
    stand: list[list[Change]] = []
    taken_back: list[Change] = []
    # like an editor's undo: two rollbacks in a row go back two champions
    for change in changes:
        if change.action != "rollback":
            stand.append([change])
            continue
        taken_back += stand.pop() if stand else []
        if stand:
            stand[-1].append(change)
    return [changes[0] for changes in stand], sorted(taken_back, key=lambda change: change.number)


class History:
    """The changes of the champion of one use case, at `<lake>/<use case>/history/`.

    Parameters
    ----------
    lake
        Place of the lake.
    use_case
        Name of the use case.
    """

    def __init__(self, lake: Place, use_case: str) -> None:
        self._lake = Lake(lake, use_case)

    def changes(self) -> list[Change]:
        """All changes, the oldest first.

        Raises
        ------
        MlopsError
            If one is damaged or missing: nobody should guess who is champion.
        """
        names = sorted(path.name for path in self._lake.history.glob("[0-9]*.json"))
        changes = []
        for number, name in enumerate(names, 1):
            path = self._lake.history / name
            try:
                change = Change(**read_json(path))
            except (OSError, ValueError, TypeError) as error:
                raise MlopsError(f"{path}: cannot be read: {error}. Restore it from a backup.") from None
            # a gap would make the next number one that was there before
            if change.number != number:
                raise MlopsError(f"{self._lake.history}: change {number} is missing. Restore it from a backup.")
            changes.append(change)
        return changes

    def has_change(self, number: int) -> bool:
        """Whether there is a change of that number: one look at one file, for whoever asks again and again."""
        try:
            self._lake.change(number).stat()
        except FileNotFoundError:
            return False
        return True

    def champion(self, day: str | None = None) -> int | None:
        """The version that is champion now, or that was at the end of a day (UTC); None if there was none."""
        change = self.latest(day)
        return None if change is None else change.version

    def latest(self, day: str | None = None, partitions: Partitions = DAYS) -> Change | None:
        """The newest change, or the newest one at the end of a day of some partitions; None if there was none."""
        changes = self.changes()
        if day is not None:
            changes = [change for change in changes if change.was_made_by(day, partitions)]
        return changes[-1] if changes else None

    def previous(self) -> int:
        """The version that `rollback` sets: the champion before the present one, rollbacks undone.

        Raises
        ------
        UsageError
            If there is none.
        """
        stack, _ = undone(self.changes())
        if len(stack) < 2:
            raise UsageError("There is no champion before this one to go back to; `history` shows all there were.")
        return stack[-2].version

    def append(
        self,
        action: str,
        version: int,
        who: str,
        why: str,
        verdict: str,
        when: dt.datetime | None = None,
        *,
        hashes: Hashes = Hashes(),
        seen: int | None = None,
        retro_score: str = "",
    ) -> Change:
        """Add a change; from then on it holds.

        Parameters
        ----------
        action, version, who, why, verdict
            See `Change`.
        when
            Now, by default.
        hashes
            Of the new champion; see `Change`.
        seen
            How many changes there were when this one was decided on; by default those that there are now.
        retro_score
            The days that are to be scored again; see `Change`.

        Raises
        ------
        HistoryConflict
            If another process added one at the same time.
        """
        changes = self.changes()
        if seen is not None and len(changes) != seen:
            raise HistoryConflict(
                f"The champion was changed by {changes[-1].who} in the meantime; {action} of version {version} was not "
                "done. Look at `history`, then decide again."
            )
        time = (when or dt.datetime.now(dt.UTC)).isoformat(timespec="milliseconds")
        before = changes[-1].version if changes else None
        change = Change(
            number=len(changes) + 1,
            when=time,
            who=who,
            action=action,
            version=version,
            before=before,
            why=why,
            verdict=verdict,
            sha256=hashes.serving_sha256,
            judged_sha256=hashes.judged_sha256,
            about_sha256=hashes.about_sha256,
            retro_score=retro_score,
        )
        try:
            # the file is both the record and the change: where its number is taken, somebody was faster
            create(self._lake.change(change.number), document(change.written()))
        except FileExistsError:
            raise HistoryConflict(
                f"The champion was changed by somebody else at the same moment; {action} of version {version} was "
                "not done. Look at `history`, then decide again."
            ) from None
        return change

    def refuse(self, version: int, who: str, why: str) -> Refusal:
        """Keep that somebody decided against a version.

        Raises
        ------
        UsageError
            If somebody did before: the first word stands.
        """
        when = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        refusal = Refusal(version, when, who, why)
        try:
            create(self._lake.refusal(version), document(asdict(refusal)))
        except FileExistsError:
            before = self.refusals()[version]
            said = f"Version {version} was refused already, {before.when[:19]} by {before.who}: {before.why}"
            raise UsageError(said) from None
        return refusal

    def refusals(self) -> dict[int, Refusal]:
        """The versions that somebody decided against, by their number.

        Raises
        ------
        MlopsError
            If one is damaged: what somebody decided is not passed over.
        """
        found = {}
        for path in self._lake.refusal(1).parent.glob("[0-9]*.json"):
            try:
                refusal = Refusal(**read_json(path))
            except (OSError, ValueError, TypeError) as error:
                raise MlopsError(f"{path}: cannot be read: {error}. Restore it from a backup.") from None
            found[refusal.version] = refusal
        return dict(sorted(found.items()))

    def pin(self, version: int, hashes: Hashes) -> None:
        """Keep the hashes with which a version is registered; they never change.

        Raises
        ------
        HistoryConflict
            If a version of that number was registered with others.
        """
        path = self._lake.pin(version)
        try:
            create(path, document(asdict(hashes)))
        except FileExistsError:
            if self._pinned(path) != hashes:
                raise HistoryConflict(
                    f"{path}: a version {version} was registered before, and is another model. Register it once more."
                ) from None

    def newest(self) -> int:
        """The highest number of a version that was registered or champion; 0 if there is none."""
        return max([*self._pin_numbers(), *(change.version for change in self.changes())], default=0)

    def differs(self, version: int, hashes: Hashes) -> str:
        """What of a version is not as it was registered, or as it became champion; empty if all is, or nobody knows."""
        path = self._lake.pin(version)
        pinned = [self._pinned(path)] if path.exists() else []
        if pinned == [hashes]:  # whoever asks for a version asks this: the changes are read for what is not so
            return ""
        champions = [change.hashes for change in self.changes() if change.version == version]
        pins = [*champions, *pinned]
        if not pins and any(number < version for number in self._pin_numbers()):
            return "registered here: the history does not know it"  # all that came after the first pin have one
        whole = f"the model that {'became champion' if champions else 'was registered'}"
        parts = {
            "serving_sha256": whole,
            "judged_sha256": f"{whole}, for it has another judged model",
            "about_sha256": f"{whole}, for it has another card (about.json)",
        }
        for name, problem in parts.items():
            known = {getattr(pin, name) for pin in pins} - {""}
            if known and getattr(hashes, name) not in known:
                return f"{problem} (another SHA-256)"
        return ""

    def _pin_numbers(self) -> list[int]:
        """The numbers of all versions that were registered since hashes are pinned."""
        return [int(path.name.partition(".")[0]) for path in self._lake.pin(1).parent.glob("[0-9]*.json")]

    def _pinned(self, path: Place) -> Hashes:
        try:
            return Hashes(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise MlopsError(f"{path}: cannot be read: {error}. Restore it from a backup.") from None
