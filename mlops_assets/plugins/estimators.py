"""In: the import path of a model or transformer, and its arguments. Out: what is wrong with it, before it is trained.

A class of scikit-learn, or of this package, is looked up in the source text: importing it would make every load of the
definitions some seconds slower, and a path that a stranger wrote is judged before anything of it runs. There it must
name a class of the package itself, no function and nothing that a module merely imports. Any other class is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from mlops_assets.plugins.loading import PluginError, import_object

READ_ONLY = ("sklearn", "mlops_assets")
"""Packages whose classes are read rather than imported."""

TOP_LEVEL = re.compile(r"^[A-Za-z_@#\"']", re.M)
IMPORT = re.compile(r"^[ \t]*(from +[.\w]+ +import +(?:\([^)]*\)|[^\n(\\]+))$", re.M)
"""Where a class ends, and one import: parsing these alone takes a hundredth of the time of parsing a module."""

WITHOUT_ARGUMENTS = ("object", "ABC", "Generic", "Protocol")
"""Bases of Python's own that add nothing to a constructor."""

_VAR_POSITIONAL, _VAR_KEYWORD = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD

CLASSIFIER = {"fit": "fit(X, y)", "predict_proba": "predict_proba(X)"}
REGRESSOR = {"fit": "fit(X, y)", "predict": "predict(X)"}
TRANSFORMER = {"fit": "fit(X, y)", "transform": "transform(X)"}
PART = {"fit": "fit(X, y)", "get_n_splits": "get_n_splits()", "get_params": "get_params()"}
"""What an argument of a model can be: an estimator, a way to split rows, a kernel; each has one of these methods."""


KINDS = {"ClassifierMixin": "classifier", "RegressorMixin": "regressor"}
"""scikit-learn's bases of what says classes and of what says numbers; both may have `predict`."""

OTHER_KIND = {
    "classifier": "it is a classifier, which says classes: `training.task: classification` takes those",
    "regressor": "it is a regressor, which says numbers: `training.task: regression` takes those",
}


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
        What it must be able to do: all of `CLASSIFIER`, `REGRESSOR` or `TRANSFORMER`, or one of `PART`.
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
    # importing scikit-learn for a look costs 4 s, reading the source of the classes that are named 0.5 s
    arguments = _read(path, methods) if _is_read(path) else _imported(path, methods)
    if arguments is None:
        return
    unknown = [name for name in (*given, *named) if name not in arguments.names]
    if unknown and not arguments.others:
        raise WrongArgument(path, unknown[0], arguments.names)
    missing = [name for name in arguments.required if name not in given]
    if missing:
        raise PluginError(f"{path} cannot be made without the argument {missing[0]!r}")


def see_estimator(path: str) -> None:
    """See that a path names an estimator, or a part of one, of scikit-learn or this package; nothing is imported.

    Raises
    ------
    PluginError
        If it does not.
    """
    if not _is_read(path):
        raise PluginError(f"{path} is no class of {' or '.join(READ_ONLY)}")
    _read(path, PART)


def _is_read(path: str) -> bool:
    """Whether what a path names is read rather than imported."""
    return path.partition(".")[0] in READ_ONLY


def _imported(path: str, methods: Mapping[str, str]) -> _Arguments | None:
    imported = import_object(path)
    if not inspect.isclass(imported):
        what = "a module" if inspect.ismodule(imported) else f"a {type(imported).__name__}"
        raise PluginError(f"{path} is {what}, expected a class{_with(methods)}")
    kind = getattr(imported, "_estimator_type", None) or _kind_of([base.__name__ for base in imported.__mro__])
    _see_methods(path, methods, [name for name in methods if callable(getattr(imported, name, None))], kind)
    try:
        return _from_signature(inspect.signature(imported))
    except ValueError:  # written in C: it does not tell
        return None


def _from_signature(signature: inspect.Signature) -> _Arguments:
    kinds = {parameter.name: parameter.kind for parameter in signature.parameters.values()}
    plain = [name for name, kind in kinds.items() if kind not in (_VAR_POSITIONAL, _VAR_KEYWORD)]
    required = [name for name in plain if signature.parameters[name].default is inspect.Parameter.empty]
    return _Arguments(tuple(plain), tuple(required), _VAR_KEYWORD in kinds.values())


def _with(methods: Mapping[str, str]) -> str:
    return f" with {(' or ' if methods is PART else ', ').join(methods.values())}" if methods else ""


def _kind_of(bases: Iterable[str]) -> str | None:
    """Whether a class with bases of these names says classes or numbers; None where they do not tell."""
    return next((KINDS[name] for name in bases if name in KINDS), None)


def _see_methods(path: str, methods: Mapping[str, str], present: Collection[str], kind: str | None) -> None:
    if (methods is REGRESSOR and kind == "classifier") or (methods is CLASSIFIER and kind == "regressor"):
        raise PluginError(f"{path}: {OTHER_KIND[kind]}")
    if methods is PART:
        if not any(name in present for name in PART):
            raise PluginError(f"{path} is no part of a model: it has no method {' or '.join(PART.values())}")
        return
    missing = [call for name, call in methods.items() if name not in present]
    if missing:
        raise PluginError(f"{path} has no method {missing[0]}")


def _read(path: str, methods: Mapping[str, str]) -> _Arguments:
    """The arguments of a class by its source.

    Raises
    ------
    PluginError
        Also where the source does not say that it is a class: whatever else it names must not be called.
    """
    _check_path(path, methods)
    module, _, name = path.rpartition(".")
    definition = _find(module, name)
    if definition is None:
        raise PluginError(f"{path!r} cannot be imported: module {module!r} has no attribute {name!r}")
    where, node = definition
    # what a module imports from elsewhere is no class of the package: `sklearn.dummy.Real`
    bases = _bases(where, node) if isinstance(node, ast.ClassDef) and _is_read(where) else None
    if bases is None:
        raise PluginError(f"{path} is no class of {path.partition('.')[0]}, expected a class{_with(methods)}")
    present = {method.name for base in bases for method in _functions(base)}
    _see_methods(path, methods, present, _kind_of(base.name for base in bases))
    return _arguments(bases)


def _check_path(path: str, methods: Mapping[str, str]) -> None:
    """See that a path names something in a module that there is."""
    if not all(map(str.isidentifier, path.split("."))):
        raise PluginError(f"{path!r} cannot be imported: it is no path like package.module.Name")
    if _file(path) is not None:
        raise PluginError(f"{path} is a module, expected a class{_with(methods)}")
    module = path.rpartition(".")[0]
    if _file(module) is None:
        raise PluginError(f"{path!r} cannot be imported: No module named {module!r}")


def _functions(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    return (statement for statement in node.body if isinstance(statement, ast.FunctionDef))


def _arguments(bases: Sequence[ast.ClassDef]) -> _Arguments:
    """Those of the first constructor among a class and its bases."""
    methods = chain.from_iterable(map(_functions, bases))
    constructor = next((method.args for method in methods if method.name == "__init__"), None)
    if constructor is None:
        return _Arguments((), (), others=False)
    plain = [*constructor.posonlyargs, *constructor.args][1:]
    # defaults belong to the last arguments
    required = [argument.arg for argument in plain[: len(plain) - len(constructor.defaults)]]
    by_name = zip(constructor.kwonlyargs, constructor.kw_defaults, strict=True)
    required += [argument.arg for argument, default in by_name if default is None]
    names = [argument.arg for argument in (*plain, *constructor.kwonlyargs)]
    return _Arguments(tuple(names), tuple(required), constructor.kwarg is not None)


def _bases(module: str, node: ast.ClassDef) -> list[ast.ClassDef] | None:
    """A class and all that it inherits from, nearest first; None if one cannot be found in Python's source."""
    classes = [node]
    for base in node.bases:
        definition = _base(module, base)
        if definition is None or not isinstance(definition[1], ast.ClassDef):
            if isinstance(base, ast.Name) and base.id in WITHOUT_ARGUMENTS:
                continue
            return None
        further = _bases(definition[0], definition[1])
        if further is None:
            return None
        classes += further
    return classes


def _base(module: str, base: ast.expr) -> tuple[str, ast.stmt] | None:
    """Where a base is defined, and its definition, if it is written `Name` or `module.Name`."""
    if isinstance(base, ast.Name):
        return _find(module, base.id)
    if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
        owner = _origin(module, base.value.id)
        return _find(owner, base.attr) if owner else None
    return None


@cache
def _find(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """Where a name is defined, and the definition; imports of it are followed."""
    seen: list[tuple[str, str]] = []
    came: tuple[str, str] | None = (module, name)
    while came is not None and came not in seen:  # a package may import a name from itself
        seen.append(came)
        if (found := _defined(*came)) is not None:
            return found
        came = _imports(came[0]).get(came[1])
    return None


def _defined(module: str, name: str) -> tuple[str, ast.stmt] | None:
    """The definition of a name in the module itself."""
    text = _text(module)
    start = re.search(rf"^class {name}\b", text, re.M)
    if start:
        end = TOP_LEVEL.search(text, start.end())
        (definition,) = ast.parse(text[start.start() : end.start() if end else None]).body[:1]
        return module, _without_code(definition)
    if re.search(rf"^(?:def {name}\b|{name}\b.*=)", text, re.M):
        return module, ast.Pass()  # it is there, and no class
    return None


def _without_code(node: ast.stmt) -> ast.stmt:
    """A class with what it inherits from and the heads of its functions: trees of all code of a model are 12 MiB."""
    if isinstance(node, ast.ClassDef):
        node.body = [*_functions(node)]
        for function in _functions(node):
            function.body = []
    return node


def _origin(module: str, name: str) -> str | None:
    """The module that a name stands for, such as `base` after `from sklearn import base`."""
    came = _imports(module).get(name)
    return f"{came[0]}.{came[1]}" if came else None


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """The names that a module imports from others: the other module, and the name there."""
    names: dict[str, tuple[str, str]] = {}
    for node in chain.from_iterable(map(_parsed, IMPORT.findall(_text(module)))):
        if isinstance(node, ast.ImportFrom):
            where = _absolute(module, node)
            came = {alias.asname or alias.name: (where, alias.name) for alias in node.names}
            # a module imports nothing from itself but in the examples of its docstrings
            names |= {name: one for name, one in came.items() if one != (module, name)}
    return names


def _parsed(text: str) -> Sequence[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:  # a line of a docstring that begins like an import
        return ()


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    path = _file(module)
    parts = module.split(".")
    # in an `__init__`, one point is the package itself
    up = node.level - (path is not None and path.name == "__init__.py")
    package = parts[: len(parts) - up]
    return ".".join([*package, *([node.module] if node.module else [])])


@cache
def _file(module: str) -> Path | None:
    """The source of a module, found without importing it or the package that it lies in."""
    top, *parts = module.split(".")
    # of the package at the top alone: to find a module in it, Python would import what it lies in
    spec = importlib.util.find_spec(top)
    source = Path(spec.origin) if spec is not None and spec.origin else Path()
    if source.suffix != ".py":  # compiled, or part of Python itself
        return None
    if not parts:
        return source
    path = source.parent.joinpath(*parts)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next(filter(Path.is_file, candidates), None)


@cache
def _text(module: str) -> str:
    path = _file(module)
    return path.read_text(encoding="utf-8") if path else ""
