"""In: the text of a `features.sql`. Out: of each column of its views, the columns of its tables that it is made of.

DuckDB runs the SQL and does not tell where a column comes from, so sqlglot reads it once more. What it finds is shown
and nothing else: SQL that it does not understand has no lineage, with a sentence that says why, and runs as before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

LONGEST = 200_000
"""Signs of SQL that are read; more are not written by hand."""

DEEPEST = 100
"""Brackets within brackets; more would take the parser to the end of its stack."""


class Source(NamedTuple):
    """A column that another is made of: of a table that the SQL sees, or of a view that it makes."""

    table: str
    column: str


@dataclass(frozen=True)
class Lineage:
    """Where the columns of views come from.

    Attributes
    ----------
    views
        By view and column, what the column is made of; of a constant, and of a count of rows, it is nothing.
    why_not
        Why nothing is known; empty if it is.
    """

    views: Mapping[str, Mapping[str, tuple[Source, ...]]] = field(default_factory=dict)
    why_not: str = ""

    def of(self, view: str) -> Mapping[str, tuple[Source, ...]]:
        """What the columns of a view are made of."""
        return self.views.get(view, {})


class NotUnderstood(Exception):
    """SQL that sqlglot reads otherwise than DuckDB, or not at all."""


def trace(sql: str, tables: Mapping[str, Sequence[str]], views: Mapping[str, Sequence[str]]) -> Lineage:
    """Where the columns of the views of a `features.sql` come from.

    Rows that a join or a condition keeps out change a column as well, but it is not made of what they ask for: columns
    of `ON` and `WHERE` are none of its sources. Those are by which a window is cut, and by which rows are counted.

    Parameters
    ----------
    sql
        Text of `features.sql`.
    tables
        The columns of the tables that it sees, by name.
    views
        The columns of its views as DuckDB has them, in order; where others were read, nothing is known.
    """
    return _trace(sql, _frozen(tables), _frozen(views))


def _frozen(columns: Mapping[str, Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(some)) for name, some in columns.items())


@cache
def _trace(
    sql: str, tables: tuple[tuple[str, tuple[str, ...]], ...], views: tuple[tuple[str, tuple[str, ...]], ...]
) -> Lineage:
    if len(sql) > LONGEST or _depth(sql) > DEEPEST:
        return Lineage(why_not="features.sql is too long, or too deeply nested, to be read for the lineage of columns")
    # it warns of what it does not know; we say that in a sentence of our own
    logger = logging.getLogger("sqlglot")
    was, logger.disabled = logger.disabled, True
    try:
        return Lineage(_views(sql, dict(tables), dict(views)))
    except NotUnderstood as error:
        return Lineage(why_not=f"Where the columns of features.sql come from is not known: {error}")
    except Exception as error:  # another's parser over any text: a picture of the SQL must not stop a day
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return Lineage(why_not=f"Where the columns of features.sql come from is not known; sqlglot says: {reason}")
    finally:
        logger.disabled = was


def _depth(sql: str) -> int:
    """How many brackets stand within each other at most; those in texts are counted as well."""
    deepest = now = 0
    for sign in sql:
        now += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, now)
    return deepest


def _views(
    sql: str, tables: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, tuple[Source, ...]]]:
    """The views in the order of the text: one sees those above it."""
    import sqlglot
    from sqlglot import exp

    known = {name.lower(): list(columns) for name, columns in tables.items()}
    found: dict[str, dict[str, tuple[Source, ...]]] = {}
    for statement in filter(None, sqlglot.parse(sql, read="duckdb")):
        if isinstance(statement, exp.Semicolon):  # a comment behind the last one
            continue
        if not isinstance(statement, exp.Create) or not isinstance(statement.expression, exp.Query):
            raise NotUnderstood(f"sqlglot cannot read `{' '.join(statement.sql('duckdb').split())[:80]}`")
        named_as = statement.find(exp.Table)
        view = named_as.name.lower() if named_as is not None else ""
        columns = _Reading(statement.expression, known).columns()
        named = [*statement.this.expressions] if isinstance(statement.this, exp.Schema) else []
        given = [name.name for name in named] or [*expected.get(view, ())]
        names = _names(view, [name for name, _ in columns], given)
        found[view] = dict(zip(names, (sources for _, sources in columns), strict=True))
        known[view] = names
    return found


def _names(view: str, read: Sequence[str], given: Sequence[str]) -> list[str]:
    """The names of a view's columns as DuckDB has them; sqlglot has lower case, and its own where none is given."""
    if not given:
        return [*read]
    if len(read) != len(given):
        raise NotUnderstood(f"`{view}` has {len(given)} columns, and sqlglot reads {len(read)}")
    return [*given]


class _Reading:
    """One query, with every column written out by its table.

    Parameters
    ----------
    query
        The query.
    known
        The columns of the tables and views that it sees, by name in lower case.
    """

    def __init__(self, query: exp.Query, known: Mapping[str, Sequence[str]]) -> None:
        from sqlglot.optimizer.qualify import qualify
        from sqlglot.optimizer.scope import build_scope

        self._known = known
        self._spelled = {table: {column.lower(): column for column in columns} for table, columns in known.items()}
        _write_out_columns(query, known)
        # an alias that later columns use is followed by `_unbound`: written out, forty of them would double forty times
        read = qualify(
            query,
            dialect="duckdb",
            schema={table: dict.fromkeys(map(str.lower, columns), "text") for table, columns in known.items()},
            expand_alias_refs=False,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        root = build_scope(read)
        if root is None:
            raise NotUnderstood("there is no query in it")
        self._root = root
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._done: dict[tuple[int, int], tuple[Source, ...]] = {}

    def columns(self) -> list[tuple[str, tuple[Source, ...]]]:
        """The columns of the query in order, each with what it is made of."""
        names = _output(self._root)
        if "*" in names:
            raise NotUnderstood("sqlglot cannot write out a `*`")
        return [(name, self._of_column(self._root, at)) for at, name in enumerate(names)]

    def _of_column(self, scope: Scope, at: int) -> tuple[Source, ...]:
        """What a column of a query within the query is made of."""
        key = id(scope), at
        if key not in self._done:
            self._done[key] = ()  # a recursive query meets itself, and adds nothing to what its first part has
            self._done[key] = tuple(dict.fromkeys(self._look(scope, at)))
        return self._done[key]

    def _look(self, scope: Scope, at: int) -> Iterator[Source]:
        from sqlglot import exp

        if isinstance(scope.expression, exp.SetOperation):
            name = _output(scope)[at]
            for part in scope.set_operation_scopes:
                if not scope.expression.args.get("by_name"):
                    yield from self._of_column(part, at)
                elif name in (names := _output(part)):
                    yield from self._of_column(part, names.index(name))
        elif isinstance(scope.expression, exp.Select):
            yield from self._made_of(scope.expression.selects[at], scope, at)
        else:  # a function in the place of a table, values: all that stands in it
            yield from self._made_of(scope.expression, scope.parent or scope, 0)

    def _made_of(self, part: exp.Expr, scope: Scope, at: int) -> Iterator[Source]:
        """The sources of every column in a part of a query; `at` is the place of the part among the columns."""
        from sqlglot import exp

        if (found := part.find(exp.PositionalColumn)) is not None:
            raise NotUnderstood(f"sqlglot does not look up `{found.sql('duckdb')}`")
        for column in part.find_all(exp.Column):
            inner = self._scope_of(column, part) or scope
            yield from self._bound(column, inner) if column.table else self._unbound(column, inner, at)
        for besides in _not_written_in(part, scope):
            yield from self._made_of(besides, scope, at)

    def _scope_of(self, column: exp.Column, part: exp.Expr) -> Scope | None:
        """The query that a column stands in, where it is a smaller one than the part that is looked at."""
        from sqlglot import exp

        node: exp.Expr | None = column.parent
        while node is not None and node is not part.parent:
            if isinstance(node, exp.Query) and id(node) in self._scopes:
                return self._scopes[id(node)]
            node = node.parent
        return None

    def _bound(self, column: exp.Column, scope: Scope) -> Iterator[Source]:
        """The sources of a column that names its table; one of an outer query is found there."""
        from sqlglot import exp

        here: Scope | None = scope
        while here is not None and column.table not in here.sources:
            here = here.parent
        if here is None:
            raise NotUnderstood(f"sqlglot does not find the table of `{column.sql('duckdb')}`")
        source = here.sources[column.table]
        if isinstance(source, exp.Table):
            # a function in the place of a table makes its rows of its arguments, which are no columns
            yield from [] if isinstance(source.this, exp.Func) else [self._stored(source, column.name)]
            return
        names = _output(source)
        if column.name in names:
            yield from self._of_column(source, names.index(column.name))
        elif isinstance(source.expression, exp.Query):
            raise NotUnderstood(f"sqlglot does not find the column `{column.sql('duckdb')}`")
        else:
            yield from self._of_column(source, 0)

    def _stored(self, table: exp.Table, column: str) -> Source:
        name = table.name.lower()
        spelled = self._spelled.get(name, {}).get(column.lower())
        if spelled is None:
            raise NotUnderstood(f"sqlglot does not find the column `{column}` of `{table.name}`")
        return Source(name, spelled)

    def _unbound(self, column: exp.Column, scope: Scope, at: int) -> Iterator[Source]:
        """The sources of a name without a table: in DuckDB that of a column which the same query has made before."""
        names = _output(scope)
        if column.name not in names[:at]:
            raise NotUnderstood(f"sqlglot does not find the column `{column.name}`")
        yield from self._of_column(scope, names.index(column.name))


def _not_written_in(part: exp.Expr, scope: Scope) -> Iterator[exp.Expr]:
    """What a part of a query is made of and names elsewhere: how its windows are cut, and what rows are counted by."""
    from sqlglot import exp

    select = scope.expression
    if not isinstance(select, exp.Select) or part.parent is not select:
        return
    windows = {one.name: one for one in select.args.get("windows") or ()}
    for window in part.find_all(exp.Window):
        if window.alias in windows:
            yield from windows[window.alias].args.get("partition_by") or ()
            yield from filter(None, [windows[window.alias].args.get("order")])
    group = select.args.get("group")
    counts = any(isinstance(one.this, exp.Star) for one in part.find_all(exp.Count))
    if counts and group is not None:
        yield from group.expressions
        if group.args.get("all"):
            yield from (one for one in select.selects if one is not part and one.find(exp.AggFunc) is None)


def _output(scope: Scope) -> list[str]:
    """The names of the columns of a query within the query."""
    from sqlglot import exp

    # of a recursive one sqlglot names a scope, of a function in the place of a table the columns of its alias
    return scope.expression.named_selects if isinstance(scope.expression, exp.Query) else []


def _write_out_columns(query: exp.Query, known: Mapping[str, Sequence[str]]) -> None:
    """Write out DuckDB's `COLUMNS('pattern')` over tables, which sqlglot leaves as it is."""
    from sqlglot import exp

    for select in query.find_all(exp.Select):
        selects: list[exp.Expr] = []
        for one in select.selects:
            pattern = next(one.find_all(exp.Columns), None)
            if pattern is None:
                selects.append(one)
            else:
                selects += _written_out(one, pattern, _names_of_tables(select, known))
        select.set("expressions", selects)


def _written_out(one: exp.Expr, pattern: exp.Columns, names: Sequence[str]) -> Iterator[exp.Expr]:
    """An expression once for every column whose name a pattern fits; DuckDB looks for it anywhere in the name."""
    from sqlglot import exp

    wanted = pattern.this
    if isinstance(wanted, exp.Star) and not any(wanted.args.values()):
        chosen = [*names]
    elif isinstance(wanted, exp.Literal) and wanted.is_string and len([*one.find_all(exp.Columns)]) == 1:
        # DuckDB's own engine of patterns: Python's can be made to search for ever
        chosen = [name for name in names if pc.match_substring_regex(pa.scalar(name), wanted.name).as_py()]
    else:
        raise NotUnderstood(f"sqlglot cannot write out `{one.sql('duckdb')[:80]}`")
    for name in chosen:
        column = exp.column(exp.to_identifier(name, quoted=True))
        yield one.transform(lambda node, column=column: column.copy() if isinstance(node, exp.Columns) else node)


def _names_of_tables(select: exp.Select, known: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns of the one table that a query reads; of several, or of a query within it, they are not looked up."""
    from sqlglot import exp

    source = select.args.get("from_") or select.args.get("from")
    table = source.this if source is not None else None
    if not isinstance(table, exp.Table) or select.args.get("joins") or table.name.lower() not in known:
        raise NotUnderstood("`COLUMNS` is followed over one table alone")
    return [*known[table.name.lower()]]
