"""In: the query of a model's input. Out: one without the texts of its crosses, and their codes, made of their parts.

A cross is a column that is written as two others with a sign between, such as `account || '|' || city AS account_city`.
Joined a row at a time, and looked up, its texts are a third of the SQL. So where a model scores, the two parts are
selected, and the position of a text among known ones comes from a table of them. All others get the texts of the SQL.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LARGEST_TABLE = 1 << 20
"""Pairs of parts that a table may have."""

BETWEEN = b"between"
"""Under which a field of a cross has its sign."""

OWN = "_part_"
"""How columns are called that are selected for crosses alone; names of users never begin so."""


class Cross(NamedTuple):
    """What a cross is made of.

    Attributes
    ----------
    left, right
        The names of the columns that are its parts.
    between
        The sign between them.
    """

    left: str
    right: str
    between: str


@dataclass(frozen=True)
class Parted:
    """A query without the texts of its crosses.

    Attributes
    ----------
    query
        The query; parts that it did not select before stand behind its other columns.
    crosses
        What is made of its columns, by name.
    """

    query: str
    crosses: Mapping[str, Cross]

    @property
    def _parts(self) -> list[str]:
        return list(dict.fromkeys(name for cross in self.crosses.values() for name in cross[:2]))

    def suits(self, before: Mapping[str, pa.DataType], after: Mapping[str, pa.DataType]) -> bool:
        """Whether crosses are texts, their parts texts and whole numbers, and all else is as it was.

        Parameters
        ----------
        before, after
            The columns of the query as it was, and of this one, with their types.
        """
        if not self.crosses.keys() <= before.keys():  # one of two of a name, which DuckDB gives another
            return False
        # a whole number is written in SQL as it is by Arrow
        parts = all(pa.types.is_string(after[name]) or pa.types.is_integer(after[name]) for name in self._parts)
        crosses = all(pa.types.is_string(before[name]) for name in self.crosses)
        left = {name: kind for name, kind in before.items() if name not in self.crosses}
        return parts and crosses and left == {name: kind for name, kind in after.items() if not name.startswith(OWN)}

    def with_crosses(self, batch: pa.RecordBatch) -> pa.Table:
        """What the query selected as it was, in another order; crosses are their parts, texts in these dictionaries."""
        coded = {name: _coded(batch[name]) for name in self._parts}
        shown = [name for name in batch.schema.names if not name.startswith(OWN)]
        texts = {name for name in coded if pa.types.is_string(batch[name].type)}
        columns = [coded[name] if name in texts else batch[name] for name in shown]
        fields = [pa.field(name, column.type) for name, column in zip(shown, columns, strict=True)]
        for name, cross in self.crosses.items():
            columns.append(_crossed(coded[cross.left], coded[cross.right]))
            fields.append(pa.field(name, columns[-1].type, metadata={BETWEEN: cross.between}))
        return pa.table(columns, schema=pa.schema(fields))


def _coded(values: pa.Array) -> pa.DictionaryArray:
    """The texts of a part as a dictionary."""
    coded = values.dictionary_encode()
    if pa.types.is_string(values.type):
        return coded
    return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.string()))


def _crossed(left: pa.DictionaryArray, right: pa.DictionaryArray) -> pa.StructArray:
    """Both parts; as of a joined text, nothing where one of them is nothing."""
    missing = pc.or_(left.is_null(), right.is_null()) if left.null_count or right.null_count else None
    return pa.StructArray.from_arrays([left, right], ["left", "right"], mask=missing)


def part_crosses(database: duckdb.DuckDBPyConnection, query: str) -> Parted | None:
    """A query without the texts of its crosses; None if it has none, or what it selects decides about its rows.

    Parameters
    ----------
    database
        Parses it.
    query
        The query of `model_input`.
    """
    tree = json.loads(database.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    node = {} if tree["error"] else tree["statements"][0]["node"]
    if node.get("type") != "SELECT_NODE" or any(node[part] for part in ("modifiers", "group_sets", "qualify")):
        return None
    if node["aggregate_handling"] != "STANDARD_HANDLING":  # GROUP BY ALL
        return None
    kept = [item for item in node["select_list"] if not _is_cross(item)]
    names = _selected(kept)
    added: dict[str, Any] = {}
    crosses = {}
    for item in filter(_is_cross, node["select_list"]):
        left, between, right = _operands(item)
        for part in (left, right):
            if _content(part) not in names:
                names[_content(part)] = name = f"{OWN}{len(added)}"
                added[name] = {**part, "alias": name}
        crosses[item["alias"]] = Cross(names[_content(left)], names[_content(right)], between)
    if not crosses:
        return None
    node["select_list"] = [*kept, *added.values()]
    text = database.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()[0][0]
    return Parted(text, crosses)


def _selected(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The names of selected columns by what they are; of two of one name none, for DuckDB calls one otherwise."""
    contents = [_content(item) for item in items]
    if any('"STAR"' in content for content in contents):
        return {}
    count = Counter(_name(item).lower() for item in items)
    return {
        content: name
        for content, item in zip(contents, items, strict=True)
        if count[(name := _name(item)).lower()] == 1 and name
    }


def _is_cross(item: Mapping[str, Any]) -> bool:
    """Whether a selected column is two others with a sign between."""
    operands = list(_operands(item)) if item.get("alias") else []
    # of one sign: of a longer text the right part could have the end, and nobody could tell where it begins
    is_text = [isinstance(operand, str) for operand in operands]
    return is_text == [False, True, False] and len(operands[1]) == 1


def _operands(part: Mapping[str, Any]) -> Iterator[Any]:
    """What is joined: texts, and parsed expressions."""
    if part.get("function_name") == "||" and part["is_operator"]:
        for argument in part["arguments"]:
            yield from _operands(argument["expression"])
    elif part["type"] == "VALUE_CONSTANT" and part["literal"]["kind"] == "STRING":
        yield part["literal"]["text"]
    else:
        yield part


def _name(item: Mapping[str, Any]) -> str:
    """What a selected column is called, where the text says it."""
    return item["alias"] or (item["column_names"][-1] if item["type"] == "COLUMN_REF" else "")


def _content(part: Any) -> str:
    """A parsed expression without its name, and without where it stands in the text."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: plain(value) for key, value in part.items() if not key.startswith("query_location")}
        return [plain(each) for each in part] if isinstance(part, list) else part

    return json.dumps(plain({**part, "alias": ""}), sort_keys=True)


class Pairs:
    """Finds the texts of a cross among known ones by their parts.

    A text is parted at the last sign; no other pair has the same text, as long as no right part holds the sign.

    Parameters
    ----------
    known
        The texts.
    between
        The sign.
    """

    def __init__(self, known: pa.Array, between: str) -> None:
        self._known = known
        self._between = between
        parted = [text.rpartition(between) for text in known.to_pylist()]
        lefts, rights = ({part[at]: 0 for part in parted if part[1]} for at in (0, 2))
        self._lefts, self._rights = (pa.array([*some], pa.string()) for some in (lefts, rights))
        shape = len(lefts) + 1, len(rights) + 1
        self._table: np.ndarray | None = None
        if shape[0] * shape[1] <= LARGEST_TABLE:
            # the last ones are for parts that are not known, or none
            self._table = np.full(shape, -1, np.int32)
            for numbers in (lefts, rights):
                numbers.update(zip(numbers, range(len(numbers)), strict=True))
            for number, (left, sign, right) in enumerate(parted):
                if sign:
                    self._table[lefts[left], rights[right]] = number

    def codes(self, cross: pa.StructArray) -> np.ndarray:
        """The position of each text, -1 for what is unknown or none."""
        left, right = cross.field(0), cross.field(1)
        if self._table is None or pc.any(pc.match_substring(right.dictionary, self._between)).as_py():
            return positions(self._texts(left, right), self._known)
        row, column = (
            positions(part, known, len(known)) for part, known in ((left, self._lefts), (right, self._rights))
        )
        codes: np.ndarray = self._table.reshape(-1).take(row.astype(np.int64) * self._table.shape[1] + column)
        return codes

    def _texts(self, left: pa.DictionaryArray, right: pa.DictionaryArray) -> pa.Array:
        return pc.binary_join_element_wise(left.cast(pa.string()), right.cast(pa.string()), self._between)


def positions(values: pa.Array, known: pa.Array, none: int = -1) -> np.ndarray:
    """The position of each text among known ones; each distinct one of a dictionary is looked at once.

    Parameters
    ----------
    values, known
        The texts.
    none
        What stands for those that are unknown, or missing.
    """
    if not pa.types.is_dictionary(values.type):
        found: np.ndarray = pc.index_in(values, value_set=known).fill_null(none).to_numpy()
        return found
    of_values = np.append(positions(values.dictionary, known, none), none)
    indices = values.indices.fill_null(len(of_values) - 1) if values.null_count else values.indices
    places: np.ndarray = of_values.take(indices.to_numpy())
    return places
