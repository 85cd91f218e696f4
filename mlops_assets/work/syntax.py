"""In: the source of one module. Out: its normal form: what its syntax tree says, and the modules that it names, apart.

Its local hash leaves out where its imports lead; `code` puts the hashes of what is imported in that place: so a module
may move without a change, but none may take the place of another unseen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import ModuleSpec, PathFinder
from itertools import groupby
from pathlib import Path

PACKAGE = __name__.partition(".")[0]

TYPING = {"__future__", "collections.abc", "typing", "typing_extensions"}
"""What comes from these serves annotations; where it does more, its use is in the tree."""

UNSEEN = {"annotation", "ctx", "returns", "type_comment", "type_ignores"}
"""Fields of the tree that decide nothing."""

DOTTED = re.compile(r"\w+(\.\w+)+")


@dataclass(frozen=True)
class NormalForm:
    """The normal form of one module.

    Attributes
    ----------
    pieces
        Its text, cut where it names a module of its own code: there is one piece more than there are names.
    targets
        The modules that it names, in order.
    reached
        All modules that loading it loads, or may load.
    outside
        Top-level names of what it imports from elsewhere.
    """

    pieces: tuple[str, ...]
    targets: tuple[str, ...]
    reached: frozenset[str]
    outside: frozenset[str]

    @cached_property
    def local(self) -> str:
        """Hash without where the imports lead."""
        return hash_of(self.pieces)

    @cached_property
    def own(self) -> str:
        """Hash with the names of what is imported."""
        return hash_of([*self.pieces, *self.targets])


@cache
def normal_form(name: str) -> NormalForm:
    """The normal form of a module that `find` finds; the bytes as they are where they are no Python of this version."""
    spec = find(name)
    assert spec is not None, "only what was found is asked for"  # noqa: S101 - _walk and _Form look first
    form = _Form(name, is_package=spec.submodule_search_locations is not None)
    source = _source(spec)
    try:
        form.read(ast.parse(source))
    except (SyntaxError, RecursionError, ValueError):  # compiled, or not of this Python: as it is
        form = _Form(name, is_package=False)
        form.say(hashlib.sha256(source).hexdigest())
    return form.done()


def _source(spec: ModuleSpec) -> bytes:
    loader: object = spec.loader
    text = loader.get_source(spec.name) if hasattr(loader, "get_source") else None
    # a module without a source in Python, such as a compiled one: its bytes count
    if text is None and spec.origin and Path(spec.origin).is_file():
        return Path(spec.origin).read_bytes()
    return (text or "").encode()


@cache
def find(name: str) -> ModuleSpec | None:
    """Where a module lies; neither it nor a package that it lies in is imported."""
    above, _, _ = name.rpartition(".")
    if above:
        package = find(above)
        locations = package.submodule_search_locations if package else None
        return PathFinder.find_spec(name, locations) if locations else None
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


@cache
def is_installed(top: str) -> bool:
    """Whether a package lies where installers put libraries."""
    spec = None if top in sys.stdlib_module_names else find(top)
    paths = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else []
    return any({"site-packages", "dist-packages"} & {*Path(path).parts} for path in paths)


def top_name(name: str) -> str:
    """The first part of a dotted name."""
    return name.partition(".")[0]


def hash_of(parts: Iterable[str]) -> str:
    """Hash of texts, each with its length, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


class _Form:
    """Writes the normal form of a module: what its tree says, and the names of own modules apart."""

    def __init__(self, name: str, *, is_package: bool) -> None:
        self._top = top_name(name)
        self._package = name if is_package else name.rpartition(".")[0]
        self._words: list[str] = []
        self._pieces: list[str] = []
        self._targets: list[str] = []
        self._reached: set[str] = set()
        self._outside: set[str] = set()
        self._in_class = False

    def read(self, tree: ast.Module) -> None:
        self._statements(tree.body)

    def say(self, word: str) -> None:
        self._words.append(word)

    def done(self) -> NormalForm:
        self._cut()
        return NormalForm(tuple(self._pieces), tuple(self._targets), frozenset(self._reached), frozenset(self._outside))

    def _cut(self) -> None:
        self._pieces.append("\0".join(self._words))
        self._words = []

    def _name(self, module: str) -> None:
        """Name an own module."""
        self._cut()
        self._targets.append(module)
        self._reached.add(module)

    def _visit(self, node: ast.AST) -> None:
        special = SPECIAL.get(type(node))
        if special is None or not special(self, node):
            self._plain(node)

    def _plain(self, node: ast.AST) -> None:
        kind = type(node)
        self._words.append(kind.__name__)
        for field in FIELDS[kind] if kind in FIELDS else _fields(kind):
            value = getattr(node, field, None)
            if isinstance(value, ast.AST):
                self._visit(value)
            elif isinstance(value, list):
                self._many(value)
            else:
                self._words.append(repr(value))

    def _many(self, values: Sequence[object]) -> None:
        self._words.append("[")
        if values and isinstance(values[0], ast.stmt):
            self._statements(values)
        else:
            for value in values:
                if isinstance(value, ast.AST):
                    self._visit(value)
                else:
                    self._words.append(repr(value))
        self._words.append("]")

    def _statements(self, body: Sequence[object]) -> None:
        """Statements in their order, but imports that stand together in an order of their own."""
        for imports, some in groupby(_with_effect(body), lambda node: isinstance(node, (ast.Import, ast.ImportFrom))):
            if imports:
                self._imports(some)
            else:
                for statement in some:
                    self._visit(statement)

    def _imports(self, statements: Iterable[ast.stmt]) -> None:
        names = [name for statement in statements for name in self._imported(statement)]
        bound = [words[-1] or words[-2] for words, _ in names]
        # where two imports give the same name, or any name, the later one wins: then their order decides
        if "*" not in bound and len(set(bound)) == len(bound):
            names.sort(key=lambda name: name[0])
        for words, module in names:
            self._words += words
            if module:
                self._name(module)

    def _imported(self, statement: ast.stmt) -> Iterator[tuple[list[str], str]]:
        """What each name of an import says, and the own module that it leads to, if it does."""
        if isinstance(statement, ast.Import):
            yield from map(self._module_imported, statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = self._resolve(statement.level, statement.module or "")
            own = base not in TYPING and self._is_own(base)
            for name in statement.names:
                # under another name it may serve more than annotations, and nobody would see which it is
                if base not in TYPING or name.asname:
                    yield self._name_of_own(base, name) if own else (["from", base, *_names(name)], "")

    def _module_imported(self, name: ast.alias) -> tuple[list[str], str]:
        """`import a.b as c`."""
        if self._is_own(name.name):
            # without its name: where an own module lies decides nothing
            return ["import", "", name.asname or ""], name.name
        return ["import", *_names(name)], ""

    def _name_of_own(self, base: str, name: ast.alias) -> tuple[list[str], str]:
        """`from a import b as c`, where `a` is an own module."""
        module = f"{base}.{name.name}"
        if find(module) is None:
            return ["from", "", *_names(name)], base
        self._reached.add(base)
        return ["from", "", "", name.asname or name.name], module  # a module may have any name where it lies

    def _resolve(self, level: int, module: str) -> str:
        if not level:
            return module
        base = self._package.split(".")[: 1 - level or None]
        return ".".join([*base, module] if module else base)

    def _is_own(self, module: str) -> bool:
        """Whether the source of a module counts; of others the top-level name is noted."""
        top = top_name(module)
        if top not in (self._top, PACKAGE) and (top in sys.stdlib_module_names or is_installed(top)):
            self._outside.add(top)
            return False
        return find(module) is not None

    def _constant(self, node: ast.Constant) -> bool:
        """A text that is the full name of an own module, or of something in it, is as good as an import."""
        text = node.value
        if not (isinstance(text, str) and DOTTED.fullmatch(text) and top_name(text) in (self._top, PACKAGE)):
            return False
        module, rest = text, ""
        while module and find(module) is None:
            # the longest beginning that is a module; the rest is a name in it
            module, _, last = module.rpartition(".")
            rest = f".{last}{rest}"
        if "." not in module:
            return False
        self._words += ["named", rest]
        self._name(module)
        return True

    def _call(self, node: ast.Call) -> bool:
        """`import_module` with a written name."""
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0] if node.args else None
        if called in ("__import__", "import_module") and isinstance(first, ast.Constant) and str(first.value):
            text = str(first.value)
            module = self._resolve(len(text) - len(text.lstrip(".")), text.lstrip("."))
            if self._is_own(module):
                self._reached.add(module)
        return False

    def _annotated(self, node: ast.AnnAssign) -> bool:
        """The annotation of a field decides what a model or a dataclass does; any other one decides nothing."""
        if self._in_class:
            self._words.append("field")
            self._visit(node.annotation)
            return False
        if node.value is not None:
            self._plain(ast.Assign([node.target], node.value))
        return True

    def _scope(self, node: ast.AST) -> bool:
        # a function inside of a class is none: its annotations decide nothing
        before, self._in_class = self._in_class, isinstance(node, ast.ClassDef)
        self._plain(node)
        self._in_class = before
        return True


def _names(name: ast.alias) -> list[str]:
    return [name.name, name.asname or ""]


SPECIAL: dict[type[ast.AST], Callable[..., bool]] = {
    ast.AnnAssign: _Form._annotated,
    ast.AsyncFunctionDef: _Form._scope,
    ast.Call: _Form._call,
    ast.ClassDef: _Form._scope,
    ast.Constant: _Form._constant,
    ast.FunctionDef: _Form._scope,
}
"""What is written otherwise than field by field: each says whether it has written all."""

FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
NOTHING = ("",)
"""The pieces of a module that says nothing, such as one with a docstring alone."""


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    # kept, for it is asked for every node of every tree
    return FIELDS.setdefault(kind, tuple(field for field in kind._fields if field not in UNSEEN))


def _with_effect(body: Iterable[object]) -> Iterator[ast.stmt]:
    """Statements without docstrings, `pass`, what only a type checker reads, and the version of the package."""
    for statement in body:
        if isinstance(statement, ast.If) and _is_for_type_checkers(statement.test):
            yield from _with_effect(statement.orelse)
        elif isinstance(statement, ast.stmt) and not _is_idle(statement):
            yield statement


def _is_for_type_checkers(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    return getattr(test, "attr", getattr(test, "id", "")) == "TYPE_CHECKING"


def _is_idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        # a release changes it, and no result
        return [getattr(target, "id", "") for target in statement.targets] == ["__version__"]
    is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_docstring or isinstance(statement, ast.Pass)
