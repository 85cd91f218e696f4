"""Brings another image into service, and goes back to the former one if it is not well: `python -m deploy.rollout`.

    python -m deploy.rollout DIGEST VERSION     # begin
    python -m deploy.rollout --resume           # go on with one that was killed; nothing to do is fine

    fetched ──► nothing starts ──► runs ended ──► switched ──► well ──► runs begun again ──► things start
    (signed,    (queue is kept)    (noted first)     │
     fits what                                       └─ not well: the same with the former image
     is stored)

Every step may be done twice, so a rollout that was killed does all of them again; what must outlive it is in one small
file, written at once. A run that is in flight at the switch is ended before it and begun again after it: finished
shards are kept if the code that made them is the same, and no day is made by two codes.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deploy.host import DockerHost, Host, NotAllowed, Unwell
from deploy.messages import Refused, Wish, read, written
from deploy.settings import NotSet, Settings, write_whole

FORWARD, BACK = "forward", "back"


class Busy(Exception):
    """Another rollout is under way."""


class Spoiled(Exception):
    """The file with the state holds something else."""


@dataclass(frozen=True)
class Release:
    """An image and what people call it."""

    image: str
    version: str


@dataclass(frozen=True)
class State:
    """What must outlive a rollout that is killed.

    Attributes
    ----------
    way
        `forward` to the new image, `back` to the former one; empty while there is nothing to do.
    former, new
        Both of them.
    again
        Runs that are ended for it and must be begun again.
    why
        Why it goes back.
    """

    way: str = ""
    former: Release = Release("", "")
    new: Release = Release("", "")
    again: tuple[str, ...] = ()
    why: str = ""


class Memory:
    """The state, in one file, and the lock that only one rollout has.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> State:
        """What was written last.

        Raises
        ------
        Spoiled
            If it is no state.
        """
        try:
            said = json.loads(self._path.read_bytes())
            former, new = (Release(**said.pop(name)) for name in ("former", "new"))
            return State(**{**said, "again": tuple(said["again"])}, former=former, new=new)
        except FileNotFoundError:
            return State()
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Spoiled(
                f"{self._path} is not as a rollout wrote it. Mend it, or take it away: a rollout begins anew then, and "
                "the runs that it names under `again` must be begun again by hand"
            ) from None

    def write(self, state: State) -> None:
        """Write it whole or not at all, and onto the disk."""
        write_whole(self._path, json.dumps(asdict(state), indent=2).encode())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock; it is gone with the process, however that ends.

        Raises
        ------
        Busy
            If somebody else has it.
        """
        lock = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Busy("a rollout is under way") from None
        finally:
            os.close(lock)


def begin(host: Host, memory: Memory, new: Release, patience: float) -> bool:
    """Bring a release into service.

    Parameters
    ----------
    host
        Where.
    memory
        What must outlive it.
    new
        The release.
    patience
        Seconds that runs in flight have to end by themselves.

    Returns
    -------
    bool
        Whether it is in service; what became of it is told to the owner.

    Raises
    ------
    Busy
        If another rollout is under way.
    """
    with memory.alone(), _told(host):
        before, image = memory.read(), host.current()
        try:
            host.fetch(new.image)
            host.see_stores(new.image)
        except NotAllowed as error:
            host.tell(f"{new.version} is not deployed: {error}", [], "Nothing was changed by it.")
            if before.way:  # one that was killed is not left lying for it
                _carry_on(host, memory, patience)
            return False
        if image == new.image and not before.way:
            return True
        # one that was killed or is stuck is given up for this one; its runs are begun again by it
        known = before.new if before.new.image == image else Release(image, "the one before")
        memory.write(State(FORWARD, before.former if before.way else known, new, before.again))
        return _carry_on(host, memory, patience)


def resume(host: Host, memory: Memory, patience: float) -> bool:
    """Go on with a rollout that was killed, if there is one.

    Parameters
    ----------
    host, memory, patience
        See `begin`.
    """
    with memory.alone(), _told(host):
        return _carry_on(host, memory, patience) if memory.read().way else True


@contextmanager
def _told(host: Host) -> Iterator[None]:
    """Let no rollout stop without the owner's knowing, whatever stopped it: a disk that is full, a fault of ours."""
    try:
        yield
    except Exception as error:
        host.tell(f"a rollout stopped: {error or type(error).__name__}", [], STUCK)
        raise


def _carry_on(host: Host, memory: Memory, patience: float) -> bool:
    """All steps on the way that the state has, whichever of them were done."""
    state = memory.read()
    if state.way == FORWARD:
        try:
            told = _move(host, memory, state.new.image, patience)
        except Unwell as error:
            memory.write(replace(memory.read(), way=BACK, why=str(error)))
        else:
            memory.write(State(former=state.former, new=state.new))
            host.tell(f"{state.new.version} is in service instead of {state.former.version}", told, "")
            return True
    return _go_back(host, memory)


def _go_back(host: Host, memory: Memory) -> bool:
    state = memory.read()
    problem = f"{state.new.version} is not well"
    try:
        host.see_stores(state.former.image)
        told = _move(host, memory, state.former.image, 0)
    except (Unwell, NotAllowed) as error:
        why = [f"{state.new.version}: {state.why}", f"{state.former.version}: {error}"]
        host.tell(f"{problem}, and {state.former.version} does not come back", why, STUCK)
        return False
    memory.write(State(former=state.new, new=state.former))
    host.tell(f"{problem}: {state.former.version} is back", [state.why, *told], "Mend it and push again.")
    return False


STUCK = (
    "Maybe nothing starts runs now; none is lost. Mend it, then: python -m deploy.rollout --resume. If something was "
    "upgraded for the new version: put its backup back first, or deploy a better version (docs/platforms.md, Upgrades)."
)


def _move(host: Host, memory: Memory, image: str, patience: float) -> list[str]:
    """Run an image; what became of runs that were in flight, a line each."""
    host.pause()
    try:
        left = host.in_flight(patience)
    except Unwell:
        left = []  # the webserver may be what is to be mended: what is stranded is seen after the switch
    _end(host, memory, left, at_once=False)
    host.switch(image)
    # nothing was started since, and the code that was there is gone: what still seems in flight has lost its process
    _end(host, memory, host.in_flight(0), at_once=True)
    again = memory.read().again
    left = host.begin_again(again)
    host.go_on()
    begun = f"{len(again) - len(left)} runs were ended for it and begun again"
    if not again:
        return ["no run was in flight"]
    return [begun, *(f"the run {run} of a command was ended: give the command again" for run in left)]


def _end(host: Host, memory: Memory, runs: Sequence[str], *, at_once: bool) -> None:
    """End runs, noted before: one that nobody remembers would be lost."""
    if runs:
        state = memory.read()
        memory.write(replace(state, again=tuple(dict.fromkeys([*state.again, *runs]))))
        host.end(runs, at_once=at_once)


def main(arguments: list[str]) -> int:
    """Begin a rollout on this host, or go on with one.

    Parameters
    ----------
    arguments
        A digest and a version, or `--resume`.

    Returns
    -------
    int
        0 if the release is in service, 1 if it is not, 2 where nothing was done.
    """
    if arguments != ["--resume"] and (len(arguments) != 2 or arguments[0].startswith("-")):
        print("Usage: python -m deploy.rollout DIGEST VERSION | --resume", file=sys.stderr)
        return 2
    try:
        settings = Settings.of_host()
        host, memory = DockerHost(settings), Memory(settings.state)
        if arguments == ["--resume"]:
            return int(not resume(host, memory, settings.patience))
        wish = read(written(Wish(*arguments)))
        release = Release(f"{settings.image}@{wish.digest}", wish.version)
        return int(not begin(host, memory, release, settings.patience))
    except (Busy, NotSet, Refused) as error:
        print(f"rollout: {error}", file=sys.stderr)
        return 2
    except (Spoiled, OSError) as error:  # the owner was told
        print(f"rollout: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
