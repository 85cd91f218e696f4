"""In: the modules that make a result. Out: a fingerprint of the code that they reach, which a comment leaves as it is.

The walk starts at these modules and follows every import of code that no installed library brings. Of each module its
normal form counts: the syntax tree without docstrings, annotations, formatting and the place where a module lies.

A module has two hashes. The local one leaves out where its imports lead. The other one has the local hash of each
imported module in that place: so a module may move without a change, but none may take the place of another unseen.
What lies deeper is seen because every module that is reached counts with its own hash.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from itertools import groupby
from pathlib import Path

PACKAGE = __name__.partition(".")[0]

LIBRARIES = {
    "PIL": "pillow",
    "duckdb": "duckdb",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}
"""What decides values where a module of this package imports it, and the distribution that brings it."""

TYPING = {"__future__", "collections.abc", "typing", "typing_extensions"}
"""What comes from these serves annotations; where it does more, its use is in the tree."""

UNSEEN = {"annotation", "ctx", "returns", "type_comment", "type_ignores"}
"""Fields of the tree that decide nothing."""

DOTTED = re.compile(r"\w+(\.\w+)+")


@dataclass(frozen=True)
class Code:
    """The code that makes a result.

    Attributes
    ----------
    source
        Hash of all modules that are reached, wherever they lie.
    modules
        What each of them says, as a hash by its name: tells which of them have changed. One that says nothing is left
        out.
    libraries
        The versions of the libraries that decide values, by name.
    """

    source: str
    modules: Mapping[str, str]
    libraries: Mapping[str, str]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of source and libraries."""
        return _hash([self.source, *(f"{name} {found}" for name, found in sorted(self.libraries.items()))])


@cache
def code_of(*roots: str) -> Code:
    """The code that some modules reach, as this process found it when it first asked.

    Parameters
    ----------
    roots
        Full names of modules. One of `LIBRARIES` counts by its version, one that is not found does not count.
    """
    known = LIBRARIES.keys() | sys.stdlib_module_names
    with _collecting_nothing():
        found = _walk(root for root in roots if _top(root) not in known)
        saying = {name: module for name, module in sorted(found.items()) if module.pieces != NOTHING}
        source = _hash(sorted({module.linked for module in saying.values()}))
    tops = {_top(root) for root in roots if _top(root) in LIBRARIES}
    for name, module in found.items():
        own = _top(name) == PACKAGE
        tops |= module.outside & LIBRARIES.keys() if own else {*module.outside, _top(name)}
    return Code(source, {name: module.own for name, module in saying.items()}, _versions(tops))


def code_fingerprint(*roots: str) -> str:
    """Fingerprint of the code that some modules reach; see `code_of`."""
    return code_of(*roots).fingerprint


def forget() -> None:
    """Read sources again when asked again; for a process in which code is loaded anew."""
    for cached in (code_of, _module, _spec, _is_installed):
        cached.cache_clear()


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """The collector would look through every tree over and over, and double the time that they take."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True)
class _Module:
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
        return _hash(self.pieces)

    @cached_property
    def own(self) -> str:
        """Hash with the names of what is imported."""
        return _hash([*self.pieces, *self.targets])

    @cached_property
    def linked(self) -> str:
        """Hash with the content of what is imported."""
        return _hash([*self.pieces, *(_module(target).local for target in self.targets)])


def _walk(roots: Iterable[str]) -> dict[str, _Module]:
    """The modules that are reached, by name."""
    found: dict[str, _Module] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name and name not in found and _spec(name) is not None:
            found[name] = _module(name)
            waiting += [*found[name].reached, name.rpartition(".")[0]]
    return found


@cache
def _module(name: str) -> _Module:
    spec = _spec(name)
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
    if text is None and spec.origin and Path(spec.origin).is_file():
        return Path(spec.origin).read_bytes()
    return (text or "").encode()


@cache
def _spec(name: str) -> ModuleSpec | None:
    """Where a module lies; neither it nor a package that it lies in is imported."""
    above, _, _ = name.rpartition(".")
    if above:
        package = _spec(above)
        places = package.submodule_search_locations if package else None
        return PathFinder.find_spec(name, places) if places else None
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


@cache
def _is_installed(top: str) -> bool:
    """Whether a package lies where installers put libraries."""
    spec = None if top in sys.stdlib_module_names else _spec(top)
    places = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else []
    return any({"site-packages", "dist-packages"} & {*Path(place).parts} for place in places)


def _versions(tops: set[str]) -> dict[str, str]:
    """The version of Python, whose syntax and tables of characters count, and of the distributions of some packages."""
    if "sklearn" in tops:
        tops = {*tops, "numpy", "scipy"}
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for top in sorted(filter(_is_installed, tops)):
        name = LIBRARIES.get(top, top)
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found |= {brings: version(brings) for brings in packages_distributions().get(top, ())}
    return found


def _top(name: str) -> str:
    return name.partition(".")[0]


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


class _Form:
    """Writes the normal form of a module: what its tree says, and the names of own modules apart."""

    def __init__(self, name: str, *, is_package: bool) -> None:
        self._top = _top(name)
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

    def done(self) -> _Module:
        self._cut()
        return _Module(tuple(self._pieces), tuple(self._targets), frozenset(self._reached), frozenset(self._outside))

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
        for imports, some in groupby(_with_effect(body), lambda one: isinstance(one, (ast.Import, ast.ImportFrom))):
            if imports:
                self._imports(some)
            else:
                for statement in some:
                    self._visit(statement)

    def _imports(self, statements: Iterable[ast.stmt]) -> None:
        found = [one for statement in statements for one in self._imported(statement)]
        for words, module in sorted(found, key=lambda one: one[0]):
            self._words += words
            if module:
                self._name(module)

    def _imported(self, statement: ast.stmt) -> Iterator[tuple[list[str], str]]:
        """What each name of an import says, and the own module that it leads to, if it does."""
        if isinstance(statement, ast.Import):
            for one in statement.names:
                own = self._is_own(one.name)
                yield ["import", "" if own else one.name, one.asname or ""], one.name if own else ""
        if isinstance(statement, ast.ImportFrom):
            base = self._resolve(statement.level, statement.module or "")
            own = base not in TYPING and self._is_own(base)
            for one in [] if base in TYPING else statement.names:
                module = f"{base}.{one.name}" if own else ""
                if module and _spec(module) is not None:  # a module of the package, whatever it is called there
                    self._reached.add(base)
                    yield ["from", "", "", one.asname or one.name], module
                else:
                    yield ["from", "" if own else base, one.name, one.asname or ""], base if own else ""

    def _resolve(self, level: int, module: str) -> str:
        if not level:
            return module
        base = self._package.split(".")[: 1 - level or None]
        return ".".join([*base, module] if module else base)

    def _is_own(self, module: str) -> bool:
        """Whether the source of a module counts; of others the top-level name is noted."""
        top = _top(module)
        if top not in (self._top, PACKAGE) and (top in sys.stdlib_module_names or _is_installed(top)):
            self._outside.add(top)
            return False
        return _spec(module) is not None

    def _constant(self, node: ast.Constant) -> bool:
        """A text that is the full name of an own module, or of something in it, is as good as an import."""
        text = node.value
        if not (isinstance(text, str) and DOTTED.fullmatch(text) and _top(text) in (self._top, PACKAGE)):
            return False
        module, rest = text, ""
        while module and _spec(module) is None:
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
        before, self._in_class = self._in_class, isinstance(node, ast.ClassDef)
        self._plain(node)
        self._in_class = before
        return True


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


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return FIELDS.setdefault(kind, tuple(field for field in kind._fields if field not in UNSEEN))


def _with_effect(body: Iterable[object]) -> Iterator[ast.stmt]:
    """Statements without docstrings, `pass`, what only a type checker reads, and the version of the package."""
    for one in body:
        if isinstance(one, ast.If) and getattr(one.test, "attr", getattr(one.test, "id", "")) == "TYPE_CHECKING":
            yield from _with_effect(one.orelse)
        elif isinstance(one, ast.stmt) and not _is_idle(one):
            yield one


def _is_idle(one: ast.stmt) -> bool:
    if isinstance(one, ast.Assign):
        return [getattr(target, "id", "") for target in one.targets] == ["__version__"]
    return isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
