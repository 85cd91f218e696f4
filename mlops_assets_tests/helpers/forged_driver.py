"""A process that loads every forged model and asks those that it got; a line each says what came of it.

An audit hook counts the files that a model made it open, and the processes and connections that it made it start.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.model import Model
from mlops_assets_tests.helpers.estimators import fitted, rows_of, to_trust
from mlops_assets_tests.helpers.forged_models import FORGED, forge

WATCHED = ("open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.dlopen")
HARMLESS = ("os.listdir", "os.scandir", "os.putenv", "os.unsetenv")

events: list[str] = []
folder = Path(sys.argv[1])


def note(event: str, arguments: tuple[Any, ...]) -> None:
    # the model's own three files are read by us
    own = event == "open" and str(arguments[0]).startswith(str(folder))
    if event.startswith(WATCHED) and event not in HARMLESS and not own:
        events.append(f"{event} {arguments[0] if arguments else ''}")


def tell(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def outcome(name: str) -> dict[str, Any]:
    place = folder / str(list(FORGED).index(name))
    sha256, trusted = forge(name, place)
    tell(begun=name)
    events.clear()
    try:
        model = Model.load(place, sha256, trusted)
    except ModelRefused as error:
        return {"refused": str(error), "events": list(events)}
    # what is not refused shows what it does
    try:
        model.probabilities(rows_of(model))
    except Exception as error:  # of Python, so nobody is harmed; a trial would end by it
        return {"refused": "", "asked": repr(error), "events": list(events)}
    return {"refused": "", "asked": "answered", "events": list(events)}


def warm_up() -> None:
    """Load one of each that is forged, so that no import is taken for what a model did."""
    for name in {forgery.of for forgery in FORGED.values()}:
        model = fitted(name)
        place = folder / f"whole {name}"
        Model.load(place, model.save(place), to_trust(model.estimator)).probabilities(rows_of(model))


def main() -> None:
    """Go through all of them."""
    warnings.simplefilter("ignore")
    warm_up()
    sys.addaudithook(note)
    for name in FORGED:
        tell(name=name, **outcome(name))


if __name__ == "__main__":
    main()
