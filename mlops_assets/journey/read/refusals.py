"""The rejected lines of files, each with the rule that it breaks; and files that have too many of them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mlops_assets.journey.read.contract import Checked, explain, rule_name
from mlops_assets.journey.read.readers.pack import FIRST_REJECTS, RAW_LIMIT, Pack, Refusal, has_too_many, too_many
from mlops_assets.use_case import UseCase

BLANK = ("blank_line", "the line is blank")


def refusals_of(
    use_case: UseCase, pack: Pack, checked: dict[str, Checked], bad: np.ndarray, blank: np.ndarray
) -> list[Refusal]:
    """Every bad line with the rule that it breaks; a blank one breaks no other."""
    explanations = _Explanations(use_case, pack, checked)
    lines = zip(np.flatnonzero(bad).tolist(), pack.file[bad].tolist(), pack.line[bad].tolist(), strict=True)
    return [
        Refusal(file, line, *(BLANK if blank[at] else explanations(at)), pack.raw(file, line)[:RAW_LIMIT])
        for at, file, line in lines
    ]


def refuse_overfull(
    use_case: UseCase, pack: Pack, checked: dict[str, Checked], bad: np.ndarray, blank: np.ndarray
) -> dict[int, Refusal]:
    """Refuse files as a whole that have too many rejected lines, before a record is made of each of these."""
    files = len(pack.lines)
    cut = np.array([refusal.file for refusal in pack.refusals if refusal.line is not None], np.int64)
    rejected = np.bincount(pack.file[bad], minlength=files) + np.bincount(cut, minlength=files)
    overfull = {}
    for file in np.flatnonzero(has_too_many(use_case.checks, rejected, pack.lines)).tolist():
        mine = bad & (pack.file == file)
        shown = np.zeros(len(bad), bool)
        shown[np.flatnonzero(mine)[:FIRST_REJECTS]] = True
        of_lines = [refusal for refusal in pack.refusals if refusal.file == file]
        first = [*refusals_of(use_case, pack, checked, shown, blank), *of_lines[:FIRST_REJECTS]]
        rules = Counter(refusal.rule for refusal in of_lines) + _rules(checked, mine, blank)
        overfull[file] = too_many(file, int(pack.lines[file]), rules, first)
    pack.refuse(overfull)
    return overfull


def _rules(checked: dict[str, Checked], bad: np.ndarray, blank: np.ndarray) -> Counter[str]:
    """How many of some rows break which rule first."""
    first = np.zeros(int(bad.sum()), np.int8)
    for result in reversed(checked.values()):
        if result.broken is not None:
            broken = result.broken[bad]
            first = np.where(broken > 0, broken, first)
    first[blank[bad]] = 0
    numbers = np.bincount(first)
    rules = {
        BLANK[0] if code == 0 else rule_name(code): int(numbers[code]) for code in np.flatnonzero(numbers).tolist()
    }
    return Counter(rules)


class _Explanations:
    """The rule that a row breaks first, and a message about all that it breaks; equal texts are explained once."""

    def __init__(self, use_case: UseCase, pack: Pack, checked: dict[str, Checked]) -> None:
        self._columns = use_case.columns
        self._texts = {name: pack.columns[name] for name in checked}
        self._broken = {name: result.broken for name, result in checked.items() if result.broken is not None}
        self._numbers = {name: pack.columns[name].indices.to_numpy() for name in self._broken}
        self._messages: dict[tuple[str, int], str] = {}

    def __call__(self, at: int) -> tuple[str, str]:
        broken = [(name, code) for name, codes in self._broken.items() if (code := codes[at])]
        return rule_name(broken[0][1]), "; ".join(
            self._explain(name, code, self._numbers[name][at]) for name, code in broken
        )

    def _explain(self, name: str, code: int, number: int) -> str:
        # a file that was saved in a wrong way breaks the same rule by the same few texts in every line
        message = self._messages.get((name, number))
        if message is None:
            text = self._texts[name].dictionary[number].as_py()
            message = self._messages[name, number] = explain(rule_name(code), name, text, self._columns[name])
        return message
