"""Loads forged files of flavours in this process, which they may crash; tells what came of each on a line of its own."""

from __future__ import annotations

import json
import sys

import numpy as np

from mlops_assets.journey.model.flavours import FLAVOURS
from mlops_assets_tests.helpers.flavoured import ROWS, flavour_named, stored


def main(names: list[str], rounds: int) -> None:
    """Flip bits, cut, and repeat stretches of the files of some estimators; ask what is loaded all the same."""
    for name in names:
        content, shape = stored(name)
        flavour = FLAVOURS[flavour_named(name)]
        generator = np.random.default_rng(len(content))
        refused = 0
        for _ in range(rounds):
            try:
                changed = _changed(content, generator)
                flavour.check(changed, shape)
            except ValueError:
                refused += 1
                continue
            try:
                asked = flavour.load(changed, shape)
                asked.predict(ROWS)
                asked.contributions(ROWS[:3])
            except Exception as error:  # whatever the library says: it may refuse what it does not like
                sys.stdout.write(json.dumps({"name": name, "said": f"{type(error).__name__}: {error}"[:200]}) + "\n")
        sys.stdout.write(json.dumps({"name": name, "rounds": rounds, "refused": refused}) + "\n")


def _changed(content: bytes, generator: np.random.Generator) -> bytes:
    changed, at = bytearray(content), int(generator.integers(len(content)))
    kind = generator.integers(4)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[at // 2 :]
    for _ in range(int(generator.integers(1, 4))):
        changed[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))
    return bytes(changed)


if __name__ == "__main__":
    main(sys.argv[2:], int(sys.argv[1]))
