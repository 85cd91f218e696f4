"""In: the import path of a model or transformer, and its arguments. Out: what is wrong with it, before it is trained.

A class of scikit-learn, or of this package, is looked up in the source text: importing it would make every load of the
definitions some seconds slower. Any other class is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlops_assets.plugins.loading import PluginError, import_object

READ_ONLY = ("sklearn", "mlops_assets")
"""Packages whose classes are read rather than imported."""

TOP_LEVEL = re.compile(r"^[A-Za-z_@#\"']", re.M)
IMPORT = re.compile(r"^[ \t]*(from +[.\w]+ +import +(?:\([^)]*\)|[^\n(\\]+))$", re.M)
"""Where a class ends, and one import: parsing these alone takes a hundredth of the time of parsing a module."""

CLASSIFIER = {"fit": "fit(X, y)", "predict_proba": "predict_proba(X)"}
TRANSFORMER = {"fit": "fit(X, y)", "transform": "transform(X)"}


class WrongArgument(PluginError):
    """A class takes no argument of that name.

    Parameters
    ----------
    path
        The class.
    name
        The argument.
    known
        Those that it takes.
    """

    def __init__(self, path: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{path} takes no argument {name!r}; it takes {', '.join(known) or 'none'}")
        self.name = name


@dataclass(frozen=True)
class _Arguments:
    """What a class is made with: its arguments, which of them must be given, and whether any other is taken."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    others: bool


def check_estimator(path: str, methods: Mapping[str, str], given: Collection[str], named: Collection[str] = ()) -> None:
    """See that a class of a model or transformer can be made and used.

    Parameters
    ----------
    path
        Its import path.
    methods
        What it must be able to do: `CLASSIFIER`, `TRANSFORMER`, or nothing.
    given
        Names of the arguments that it gets.
    named
        Names of arguments that must be known, though they are given later.

    Raises
    ------
    PluginError
        If there is no such class, or it lacks a method or an argument.
    WrongArgument
        If it does not take one of the arguments.
    """
    read = path.partition(".")[0] in READ_ONLY
    arguments = _read(path, methods) if read else _imported(path, methods)
    if arguments is None:
        return
    unknown = [name for name in (*given, *named) if name not in arguments.names]
    if unknown and not arguments.others:
        raise WrongArgument(path, unknown[0], arguments.names)
    missing = [name for name in arguments.required if name not in given]
    if missing:
        raise PluginError(f"{path} cannot be made without the argument {missing[0]!r}")


def _imported(path: str, methods: Mapping[str, str]) -> _Arguments | None:
    found = import_object(path)
    if not inspect.isclass(found):
        what = "a module" if inspect.ismodule(found) else f"a {type(found).__name__}"
        raise PluginError(f"{path} is {what}, expected a class{_with(methods)}")
    _see_methods(path, methods, [name for name in methods if callable(getattr(found, name, None))])
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # written in C: it does not tell
        return None
    plain = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return _Arguments(
        tuple(one.name for one in plain),
        tuple(one.name for one in plain if one.default is one.empty),
        any(one.kind is one.VAR_KEYWORD for one in parameters),
    )


def _with(methods: Mapping[str, str]) -> str:
    return f" with {', '.join(methods.values())}" if methods else ""


def _see_methods(path: str, methods: Mapping[str, str], found: Collection[str]) -> None:
    missing = [call for name, call in methods.items() if name not in found]
    if missing:
        raise PluginError(f"{path} has no method {missing[0]}")


def _read(path: str, methods: Mapping[str, str]) -> _Arguments | None:
    """The arguments of a class by its source; None where that does not tell."""
    if not all(part.isidentifier() for part in path.split(".")):
        raise PluginError(f"{path!r} cannot be imported: it is no path like package.module.Name")
    module, _, name = path.rpartition(".")
    if _file(path) is not None:
        raise PluginError(f"{path} is a module, expected a class{_with(methods)}")
    if _file(module) is None:
        raise PluginError(f"{path!r} cannot be imported: No module named {module!r}")
    found = _find(module, name)
    if found is None:
        if re.search(r"^def __getattr__", _text(module), re.M):
            return None
        raise PluginError(f"{path!r} cannot be imported: module {module!r} has no attribute {name!r}")
    where, node = found
    if not isinstance(node, ast.ClassDef):
        return None
    bases = _bases(where, node)
    if bases is None:
        return None
    _see_methods(path, methods, {one.name for base in bases for one in base.body if isinstance(one, ast.FunctionDef)})
    return _arguments(bases)


def _arguments(bases: Sequence[ast.ClassDef]) -> _Arguments:
    """Those of the first constructor among a class and its bases."""
    for base in bases:
        for one in base.body:
            if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                plain = [*one.args.posonlyargs, *one.args.args][1:]
                required = [arg.arg for arg in plain[: len(plain) - len(one.args.defaults)]]
                pairs = zip(one.args.kwonlyargs, one.args.kw_defaults, strict=True)
                required += [arg.arg for arg, default in pairs if default is None]
                names = [arg.arg for arg in (*plain, *one.args.kwonlyargs)]
                return _Arguments(tuple(names), tuple(required), one.args.kwarg is not None)
    return _Arguments((), (), others=False)


def _bases(module: str, node: ast.ClassDef) -> list[ast.ClassDef] | None:
    """A class and all that it inherits from, nearest first; None if one cannot be found in Python's source."""
    found = [node]
    for base in node.bases:
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            owner = _origin(module, base.value.id)
            place = _find(owner, base.attr) if owner else None
        else:
            place = _find(module, base.id) if isinstance(base, ast.Name) else None
        if place is None or not isinstance(place[1], ast.ClassDef):
            if isinstance(base, ast.Name) and base.id in ("object", "ABC", "Generic", "Protocol"):
                continue
            return None
        further = _bases(*place)  # type: ignore[arg-type]
        if further is None:
            return None
        found += further
    return found


@cache
def _find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """Where a name is defined, and the definition; imports of it are followed."""
    text = _text(module)
    start = re.search(rf"^class {name}\b", text, re.M)
    if start:
        end = TOP_LEVEL.search(text, start.end())
        return module, ast.parse(text[start.start() : end.start() if end else None]).body[0]
    if re.search(rf"^(?:def {name}\b|{name}\b.*=)", text, re.M):
        return module, ast.Pass()
    came = _imports(module).get(name)
    return _find(*came) if came else None


def _origin(module: str, name: str) -> str | None:
    """The module that a name stands for, such as `base` after `from sklearn import base`."""
    came = _imports(module).get(name)
    return f"{came[0]}.{came[1]}" if came else None


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """The names that a module imports from others: the other module, and the name there."""
    found = {}
    for statement in IMPORT.findall(_text(module)):
        for node in ast.parse(statement).body:
            if isinstance(node, ast.ImportFrom):
                where = _absolute(module, node)
                found.update({alias.asname or alias.name: (where, alias.name) for alias in node.names})
    return found


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    path = _file(module)
    parts = module.split(".")
    up = node.level - (path is not None and path.name == "__init__.py")
    package = parts[: len(parts) - up]
    return ".".join([*package, *([node.module] if node.module else [])])


@cache
def _file(module: str) -> Path | None:
    """The source of a module, found without importing it or the package that it lies in."""
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.origin or not spec.has_location:
        return None
    place = Path(spec.origin).parent.joinpath(*parts)
    if not parts:
        return Path(spec.origin)
    tries = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in tries if path.is_file()), None)


@cache
def _text(module: str) -> str:
    path = _file(module)
    return path.read_text(encoding="utf-8") if path else ""
