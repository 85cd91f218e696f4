"""Damages of a day's raw files of `transactions`, as they lie there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

ENCODING = "mac_roman"
AMOUNT, CATEGORY, CITY, STATE = "valor", "grupo_estabelecimento", "cidade_estabelecimento", "estado"
REPEATS, NEW_SHARE, SIGMAS, PRIOR, GROWN = 1_000, 0.05, 0.3, 0.10, "RESTAURANTE"
PLAIN, ACCENTED = "SAO PAULO", "SÃO PAULO"

Rows = list[list[str]]
"""The fields of each row of a day."""

Change = Callable[[Rows, Mapping[str, int]], None]
"""Changes rows in place; it is given where each column stands."""


class Files:
    """The files of a day, read as a whole and written back.

    Parameters
    ----------
    folder
        Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.csv"))
        self.rows: Rows = []
        self.ends: list[int] = []
        for path in self.paths:
            self.header, *lines = path.read_bytes().decode(ENCODING).split("\r\n")
            self.rows += [line.split(";") for line in lines if line]
            self.ends.append(len(self.rows))
        self.places = {name.strip(): place for place, name in enumerate(self.header.split(";"))}

    def write(self, encoding: str = ENCODING) -> None:
        """Write every file as its rows are now."""
        for path, first, end in zip(self.paths, [0, *self.ends], self.ends, strict=False):
            lines = [self.header, *(";".join(row) for row in self.rows[first:end]), ""]
            path.write_bytes("\r\n".join(lines).encode(encoding))


def accent(folder: Path) -> None:
    """Write São Paulo as people there do: drawn files have no letter that a broken encoding would break."""
    for path in folder.glob("*.csv"):
        path.write_bytes(path.read_bytes().replace(PLAIN.encode(), ACCENTED.encode(ENCODING)))


def _emptied(rows: Rows, at: Mapping[str, int]) -> None:
    for row in rows:
        row[at[CITY]] = ""


def _times_hundred(rows: Rows, at: Mapping[str, int]) -> None:
    _amounts(rows, at, lambda amount: amount * 100)


def _comma_lost(rows: Rows, at: Mapping[str, int]) -> None:
    for row in rows:
        row[at[AMOUNT]] = row[at[AMOUNT]].replace(",", "")


def _new_category(rows: Rows, at: Mapping[str, int]) -> None:
    for number in np.random.default_rng(1).choice(len(rows), round(NEW_SHARE * len(rows)), replace=False):
        rows[number][at[CITY]] = "NOVA CIDADE"


def _mean_moved(rows: Rows, at: Mapping[str, int]) -> None:
    known = [amount for row in rows if (amount := _amount(row[at[AMOUNT]])) is not None]
    by = SIGMAS * float(np.std(known))
    _amounts(rows, at, lambda amount: amount + by)


def _prior_moved(rows: Rows, at: Mapping[str, int]) -> None:
    """Purchases of other kinds give way to restaurants that the same account was at."""
    account, category = at["id"], at[CATEGORY]
    grown: dict[str, Rows] = {}
    for row in rows:
        if row[category] == GROWN:
            grown.setdefault(row[account], []).append(row)
    generator, missing = np.random.default_rng(1), round(PRIOR * len(rows))
    for number in generator.permutation(len(rows)):
        row = rows[number]
        if missing and row[category] != GROWN and row[account] in grown:
            known = grown[row[account]]
            rows[number] = [*known[generator.integers(len(known))]]
            missing -= 1


def _amounts(rows: Rows, at: Mapping[str, int], change: Callable[[float], float]) -> None:
    for row in rows:
        amount = _amount(row[at[AMOUNT]])
        if amount is not None:
            row[at[AMOUNT]] = f"{change(amount):,.2f}".translate(str.maketrans(",.", ".,"))


def _amount(text: str) -> float | None:
    """An amount as it is written in Brazil: 1.234,56."""
    bare = text.strip().replace(".", "").replace(",", ".")
    return float(bare) if bare.strip("-") else None


def _changed(change: Change) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        files = Files(folder)
        change(files.rows, files.places)
        files.write()

    return damage


def _encoding_broken(folder: Path) -> None:
    """UTF-8 is delivered, and read as Mac Roman."""
    Files(folder).write("utf-8")


def _half_missing(folder: Path) -> None:
    for path in sorted(folder.glob("*.csv"))[::2]:
        path.unlink()


def _one_repeated(folder: Path) -> None:
    first = min(folder.glob("*.csv"))
    for number in range(REPEATS):
        shutil.copyfile(first, folder / f"again-{number:04}.csv")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a column emptied": _changed(_emptied),
    "amounts times 100": _changed(_times_hundred),
    "decimal comma lost": _changed(_comma_lost),
    "encoding broken": _encoding_broken,
    "5 % of a new category": _changed(_new_category),
    "mean moved by 0.3 sigma": _changed(_mean_moved),
    "class prior moved by 10 points": _changed(_prior_moved),
    "half the files missing": _half_missing,
    "one account's file 1,000 times": _one_repeated,
}
"""What happens to the folder of a day."""
