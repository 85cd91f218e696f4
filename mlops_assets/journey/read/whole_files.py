"""In: the checked rows of a pack. Out: the files that are wrong as a whole, though none of their rows need be."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from mlops_assets.journey.read.contract import Checked
from mlops_assets.journey.read.notation import find_misread
from mlops_assets.journey.read.readers.pack import Pack
from mlops_assets.use_case import UseCase


def find_wrong_files(
    use_case: UseCase, pack: Pack, checked: Mapping[str, Checked], good: np.ndarray
) -> dict[int, tuple[str, str]]:
    """Files that are refused for what they are as a whole, each with the rule and what is wrong.

    Parameters
    ----------
    use_case
        The use case.
    pack
        The text.
    checked
        What its columns were taken for.
    good
        Which rows break no rule.
    """
    found = {
        "constant": _inconstant(use_case, pack, checked, good),
        "number_format": find_misread(use_case, pack, checked, good),
    }
    return {file: (rule, message) for rule, wrong in found.items() for file, message in wrong.items()}


def notice_one_account(use_case: UseCase, pack: Pack, checked: Mapping[str, Checked], good: np.ndarray) -> None:
    """Count files with several rows of one account, where the contract does not say that a file is an account.

    Parameters
    ----------
    use_case, pack, checked, good
        As for `find_wrong_files`; the pack is told.
    """
    file = pack.file[good]
    if use_case.columns[use_case.account].constant or not len(file):
        return
    several = np.unique(file[1:][file[1:] == file[:-1]])
    changed = np.unique(file[1:][_changes(checked[use_case.account].values, file, good)])
    if len(several) > len(changed):
        pack.noticed["one_account"] += len(several) - len(changed)


def _inconstant(use_case: UseCase, pack: Pack, checked: Mapping[str, Checked], good: np.ndarray) -> dict[int, str]:
    """Files in which a column that must be constant has several values, each with what is wrong."""
    wrong: dict[int, str] = {}
    file = pack.file[good]
    for name, column in use_case.columns.items():
        if not column.constant or not len(file):
            continue
        for number in np.unique(file[1:][_changes(checked[name].values, file, good)]).tolist():
            wrong.setdefault(number, f"{column.header(name)!r} has more than one value in the file")
    return wrong


def _changes(values: pa.Array, file: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Which good rows, but for the first, have another value than the one before them in their file.

    The rows of a file follow each other: a second value shows where two neighbours differ.
    """
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)[good]
    changes: np.ndarray = (codes[1:] != codes[:-1]) & (file[1:] == file[:-1])
    return changes
