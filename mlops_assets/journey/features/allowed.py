"""In: the text of a `features.sql`. Out: its views; what does not repeat, or looks beyond the rows, is refused by line.

What a function may do is DuckDB's own knowledge: it parses the text, and says of each function how stable its answers
are. Where it is mistaken, or says nothing, the few names below decide.

The order of rows may be relied on: they come by file and line, and one thread works on them. So `first(x)` or
`row_number()` without an order is no matter of chance, and allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import duckdb

from mlops_assets.errors import ConfigError
from mlops_assets.storage.locked import open_locked

VIEW = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?view\s+"
    r'(?:if\s+not\s+exists\s+)?("?)(\w+)\1(?=[\s(])',
    re.I | re.S,
)
"""How a statement begins; the name is a plain one, without a schema."""

LINE = re.compile(r"^LINE (\d+):", re.M)

WORD = re.compile(r"\w+")

MADE_OF = frozenset({"rows", "arrow_rows"})
"""What views are made of: no view may have such a name."""

HARMLESS = frozenset({"error"})
"""Functions that are volatile to DuckDB only so that it does not call them early."""

MISTAKEN = frozenset({"current_localtime", "current_localtimestamp", "json_serialize_plan", "version"})
"""Functions that DuckDB takes for stable, and that are not: they say what time it is, who computes, and how."""

SINCE_TODAY = "age"
"""A function that counts up to the current day where it has one argument; in `born.age()` that stands before it."""

OF_ARGUMENTS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
"""Functions in the place of a table that look at their arguments alone."""

NOWHERE = (1 << 64) - 1
"""Where DuckDB puts what it has added itself."""

REPEATS = (
    "an answer must repeat. The day of the rows is the column `day` of `rows`; what looks like chance and repeats is "
    "`hash(...)` of the row's own columns."
)
BEYOND = "SQL sees the tables `rows` and those of its enrichments, and nothing beyond them."


class SqlRefused(ConfigError):
    """A `features.sql` has what none may have; the message begins with the file's name and the line."""


@dataclass(frozen=True)
class Text:
    """One statement of a `features.sql`.

    Attributes
    ----------
    sql
        Its text.
    view
        The view that it creates.
    line
        The line of the file on which the text begins.
    """

    sql: str
    view: str
    line: int

    def create(self, database: duckdb.DuckDBPyConnection) -> None:
        """Run it; DuckDB's errors name the line of the statement, and these the line of the file."""
        try:
            database.execute(self.sql)
        except duckdb.Error as error:
            message = LINE.sub(lambda found: f"LINE {int(found[1]) + self.line - 1}:", str(error))
            raise type(error)(message) from None

    def refuse(self, at: int, what: str) -> SqlRefused:
        """The error that names what stands at a byte of the text."""
        return _refuse(self.line + self.sql.encode()[:at].count(b"\n"), what)

    @property
    def query(self) -> int:
        """The byte at which the view's own query begins: behind `AS`."""
        data = self.sql.encode()
        for at, _ in duckdb.tokenize(self.sql):
            if re.match(rb"as\b", data[at:], re.I):
                return at + len("as")
        return 0  # DuckDB will say what is wrong with it


_checked: set[tuple[str, frozenset[str]]] = set()


def views_of(database: duckdb.DuckDBPyConnection, sql: str, tables: frozenset[str]) -> dict[str, Text]:
    """The statements of a `features.sql` by the view that they create, in lower case.

    Parameters
    ----------
    database
        Parses the text; nothing of it is run.
    sql
        The text.
    tables
        The tables that it sees.

    Raises
    ------
    SqlRefused
        If a statement creates no view, `model_input` is missing, or something is used that does not repeat or looks
        beyond the tables.
    """
    texts = _texts(sql)
    views = {text.view: text for text in texts}
    # once a process: each connection of the same SQL comes here
    if (sql, tables) not in _checked:
        check = _Check(database, MADE_OF | tables | views.keys())
        for text in texts:
            check.run(text)
        _checked.add((sql, tables))
    return views


def until_aggregated(sql: str) -> str:
    """The part of a `features.sql` that aggregates hang on: down to the end of `file_features`.

    What is said behind it, such as `model_input`, cannot change them. All of it, where there is no such view, or DuckDB
    cannot read it.
    """
    with suppress(SqlRefused, duckdb.Error):
        texts = _texts(sql)
        last = max((number for number, text in enumerate(texts) if text.view == "file_features"), default=None)
        if last is not None:
            return "\n".join(text.sql for text in texts[: last + 1])
    return sql


def _texts(sql: str) -> list[Text]:
    texts: list[Text] = []
    end = 0
    for statement in duckdb.extract_statements(sql):
        start = sql.find(statement.query, end)
        if start < 0:
            raise _blank(sql, end, statement.query)
        end = start + len(statement.query)
        match = VIEW.match(statement.query)
        # the text of a statement may begin with blank lines
        first = start + len(statement.query) - len(statement.query.lstrip())
        if match is None:
            raise _refuse(
                sql.count("\n", 0, first) + 1, f"only `CREATE VIEW` is allowed, this is: {statement.query.strip()[:80]}"
            )
        view = match.group(2).lower()  # SQL takes names in any case for the same
        line = sql.count("\n", 0, start) + 1
        if view in MADE_OF:
            raise _refuse(line, f"`{view}` is what views are made of; give this view another name.")
        if why := _why_name(view):
            raise _refuse(line, why)
        texts.append(Text(statement.query, view, line))
    if "model_input" not in {text.view for text in texts}:
        raise SqlRefused("features.sql: no statement creates the view `model_input`.")
    return texts


def _refuse(line: int, what: str) -> SqlRefused:
    return SqlRefused(f"features.sql:{line}: {what}")


def _blank(sql: str, end: int, read: str) -> SqlRefused:
    """The error for a statement in which DuckDB has put plain blanks in the place of others, such as Word sets."""
    at = next(at for at, sign in enumerate(read, end) if sql[at] != sign)
    line = sql.count("\n", 0, at) + 1
    return _refuse(line, f"U+{ord(sql[at]):04X} looks like a blank and is none of SQL's; write a plain one.")


class _Check:
    """Looks at each part of the queries of views.

    Parameters
    ----------
    database
        Parses, and says which words are functions.
    tables
        Names that mean a table.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, tables: frozenset[str]) -> None:
        self._database = database
        self._tables = tables
        self._macros: dict[str, str | None] = {}

    def run(self, text: Text) -> None:
        """Raise SqlRefused at the first part that may not be used."""
        start = at = text.query
        try:
            tree = self._parse(text.sql.encode()[start:].decode())
        except RecursionError:
            raise _refuse(text.line, "nested too deeply; compute it in steps, in a `WITH` or a view each.") from None
        for part in _parts(tree):
            where = part.get("query_location", NOWHERE)
            at = start + where if where < NOWHERE else at
            if why := self._why(part):
                raise text.refuse(at, why)

    def _parse(self, query: str) -> Any:
        """The query as DuckDB reads it; None if it cannot, and will tell."""
        tree = json.loads(self._database.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
        return None if tree["error"] else tree["statements"]

    def _why(self, part: Mapping[str, Any]) -> str | None:
        """What is wrong with a part, if anything."""
        if part.get("sample"):
            return f"a sample of rows is another one each time; {REPEATS}"
        match part.get("type"):
            case "BASE_TABLE" | "SHOW_REF" | "TABLE_FUNCTION":
                return _why_table(part, self._tables)
            case "COLUMN_REF":
                return self._why_word(*part["column_names"])
        return (
            self._why_function(part)
            if part.get("function_name")
            else next(filter(None, map(_why_name, _named(part))), None)
        )

    def _why_word(self, *names: str) -> str | None:
        # even where a column has that name: in a query that does not see it, the same word means the function
        if len(names) > 1 or not self._is_function(names[0]):
            return None
        return f"`{names[0]}` says something else each time, if it is no column (`rows.{names[0]}`); {REPEATS}"

    def _why_function(self, part: Mapping[str, Any]) -> str | None:
        name = part["function_name"].lower()
        if name in HARMLESS:
            return None
        is_unstable = name in _known().unstable or name in MISTAKEN
        if is_unstable or (name == SINCE_TODAY and _count_arguments(part) < 2):
            return f"`{name}()` says something else each time; {REPEATS}"
        return f"`{name}()`: {why}" if (why := self._why_macro(name)) else None

    def _why_macro(self, name: str) -> str | None:
        """What is wrong with the definitions of a macro of DuckDB's."""
        if name not in self._macros:
            self._macros[name] = None  # one overload may call another
            for macro in _known().macros.get(name, ()):
                reasons = map(self._why, _parts(self._parse(f"SELECT {macro}")))
                self._macros[name] = self._macros[name] or next(filter(None, reasons), None)
        return self._macros[name]

    def _is_function(self, name: str) -> bool:
        """Whether a word stands for a function where no column has that name, such as `current_date`."""
        try:
            self._database.execute('SELECT "' + name.replace('"', '""') + '"').fetchall()
        except duckdb.Error:
            return False
        return True


def _why_table(part: Mapping[str, Any], tables: frozenset[str]) -> str | None:
    if part["type"] == "SHOW_REF":
        return f"`DESCRIBE`, `SHOW` or `SUMMARIZE` looks beyond the rows; {BEYOND}"
    if part["type"] == "TABLE_FUNCTION":
        name = part["function"]["function_name"]
        return None if name.lower() in OF_ARGUMENTS else f"`{name}()` looks beyond the rows; {BEYOND}"
    *schema, name = (word.lower() for word in part["qualified_name"]["path"])
    # of a name that is merely misspelt, DuckDB tells more
    is_ours = name in tables or WORD.fullmatch(name)
    if is_ours and name not in _known().views and {*schema} <= {"main", "memory"}:
        return None
    return f"`{'.'.join((*schema, name))}` looks beyond the rows; {BEYOND}"


def _why_name(name: str) -> str | None:
    """What is wrong with a name that a query gives: it must not make one that looks beyond the rows look harmless."""
    if name.lower() in _known().views:
        return f"`{name}` is a name of DuckDB's own; give another."
    return None if WORD.fullmatch(name) else f"`{name}` is no plain name; give one of letters, digits and _."


def _count_arguments(part: Mapping[str, Any]) -> int:
    """The arguments of a function; what stands before it is one, as in `born.age()`, if it is no schema."""
    is_method = part["schema"] and part["schema"].lower() not in _known().schemas
    return len(part["arguments"]) + bool(is_method)


class _Known(NamedTuple):
    """What DuckDB brings.

    Attributes
    ----------
    unstable
        Functions whose answers are not always the same.
    macros
        The definitions of macros.
    views
        Names of views that can be had without their schema.
    schemas
        Names that may stand before one of a function.
    """

    unstable: frozenset[str]
    macros: dict[str, list[str]]
    views: frozenset[str]
    schemas: frozenset[str]


@cache
def _known() -> _Known:
    unstable = set()
    macros: dict[str, list[str]] = {}
    with open_locked() as database:
        functions = database.execute(
            "SELECT function_name, stability, macro_definition FROM duckdb_functions() "
            "WHERE stability <> 'CONSISTENT' OR function_type = 'macro'"
        ).fetchall()
        views = database.execute(
            "SELECT view_name FROM duckdb_views() WHERE internal AND schema_name <> 'information_schema'"
        ).fetchall()
        schemas = database.execute("SELECT database_name, schema_name FROM duckdb_schemas()").fetchall()
    for name, stability, definition in functions:
        if stability:
            unstable.add(name)
        else:
            macros.setdefault(name, []).append(definition)
    return _Known(
        frozenset(unstable), macros, frozenset(name for (name,) in views), frozenset(chain.from_iterable(schemas))
    )


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part of a parsed query, in the order of the text."""
    waiting = [tree]  # no recursion: a query may be nested more deeply than Python's calls
    while waiting:
        tree = waiting.pop()
        if isinstance(tree, dict):
            yield tree
            tree = list(tree.values())
        if isinstance(tree, list):
            waiting += reversed(tree)


def _named(part: Mapping[str, Any]) -> Iterator[str]:
    """What a part of a query gives a name by `WITH`."""
    if "cte_map" in part:
        yield from (entry["key"] for entry in part["cte_map"]["map"])
    if "cte_name" in part:
        yield part["cte_name"]
