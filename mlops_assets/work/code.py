"""In: the modules that make a result. Out: a fingerprint of the code that they reach, which a comment leaves as it is.

The walk starts at these modules and follows every import of code that no installed library brings. Of each module its
normal form counts: the syntax tree without docstrings, annotations, formatting and the place where a module lies.
See `syntax` for how that is written; what lies deeper is seen because every module that is reached counts.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from mlops_assets.work.syntax import NOTHING, NormalForm, find, hash_of, is_installed, normal_form, top_name

PACKAGE = top_name(__name__)

# left out is what gives a day no other values: deltalake, skops, pydantic, obstore, SQLAlchemy, mlflow, pandas
LIBRARIES = {
    "PIL": "pillow",
    "duckdb": "duckdb",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}
"""What decides values where a module of this package imports it, and the distribution that brings it."""


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
        return hash_of([self.source, *(f"{name} {release}" for name, release in sorted(self.libraries.items()))])


def differences(then: Code, now: Code) -> tuple[str, ...]:
    """How one code differs from another: the modules, and the libraries with both versions."""
    libraries = (
        f"{name} {then.libraries.get(name)}, now {now.libraries.get(name)}"
        for name in _differing(then.libraries, now.libraries)
    )
    return (*_differing(then.modules, now.modules), *libraries)


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The keys that have not the same value in both."""
    return sorted(key for key in {*then, *now} if then.get(key) != now.get(key))


_TURN = threading.Lock()
"""Threads that ask at the same time wait for the first one's trees: all at once each would take as long as all."""


@cache
def code_of(*roots: str) -> Code:
    """The code that some modules reach, as this process found it when it first asked.

    Parameters
    ----------
    roots
        Full names of modules. One of `LIBRARIES` counts by its version, one that is not found does not count.
    """
    unfollowed = LIBRARIES.keys() | sys.stdlib_module_names
    # once a process, and not on disk: a worker finds out for itself, for the driver may have other code
    with _TURN, _collecting_nothing():
        own_roots = _innermost(_module_of(root) for root in roots if top_name(root) not in unfollowed)
        modules = _walk(own_roots)
        saying = {name: module for name, module in sorted(modules.items()) if module.pieces != NOTHING}
        linked = _linked(modules)
        # a set of contents, in which no module has a name: so it may move; a root is known by its place among roots
        first = [linked.get(root, "") for root in own_roots]
        source = hash_of([*first, *sorted({linked[name] for name in saying})])
        tops = {top_name(root) for root in roots if top_name(root) in LIBRARIES}
        for name, module in modules.items():
            # of our own modules the libraries that make values count, of a user's all that they import
            own = top_name(name) == PACKAGE
            tops |= module.outside & LIBRARIES.keys() if own else {*module.outside, top_name(name)}
        versions = _versions(tops)
    return Code(source, {name: module.own for name, module in saying.items()}, versions)


def code_fingerprint(*roots: str) -> str:
    """Fingerprint of the code that some modules reach; see `code_of`."""
    return code_of(*roots).fingerprint


def forget() -> None:
    """Read sources again when asked again; for a process in which code is loaded anew."""
    for cached in (code_of, normal_form, find, is_installed, _brought_by):
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


def _module_of(root: str) -> str:
    """The module of a root, which may be the full name of a class inside of one."""
    module = root
    while find(module) is None and "." in module:
        module = module.rpartition(".")[0]
    return module


def _innermost(modules: Iterable[str]) -> list[str]:
    """Modules in their order, each once, without the packages that hold others of them: these are walked anyway."""
    once = list(dict.fromkeys(modules))
    return [module for module in once if not any(other.startswith(f"{module}.") for other in once)]


def _linked(modules: Mapping[str, NormalForm]) -> dict[str, str]:
    """A hash of each module with those of what it imports, and of what that imports, in place of their names.

    Method: Weisfeiler and Leman's refinement. A round puts the hashes of the last one in; when a round tells no more
    modules apart than the one before, no other will. Circles of imports need no care by that.
    """
    linked = {name: module.local for name, module in modules.items()}
    told_apart = 0
    while len(set(linked.values())) > told_apart:
        told_apart = len(set(linked.values()))
        linked = {
            name: hash_of([*module.pieces, *(linked[target] for target in module.targets)])
            for name, module in modules.items()
        }
    return linked


def _walk(roots: Iterable[str]) -> dict[str, NormalForm]:
    """The modules that are reached, by name."""
    modules: dict[str, NormalForm] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name and name not in modules and find(name) is not None:
            modules[name] = normal_form(name)
            # with the package that it lies in, whose `__init__` runs first
            waiting += [*modules[name].reached, name.rpartition(".")[0]]
    return modules


def _versions(tops: set[str]) -> dict[str, str]:
    """The version of Python, whose syntax and tables of characters count, and of the distributions of some packages."""
    # it computes with both, whichever of our modules imports them
    if "sklearn" in tops:
        tops = {*tops, "numpy", "scipy"}
    versions = {"python": ".".join(map(str, sys.version_info[:2]))}
    for top in sorted(filter(is_installed, tops)):
        name = LIBRARIES.get(top, top)
        try:
            versions[name] = version(name)
        # a package whose distribution has another name
        except PackageNotFoundError:
            versions |= {brings: version(brings) for brings in _brought_by().get(top, ())}
    return versions


@cache
def _brought_by() -> Mapping[str, list[str]]:
    """The distributions that bring a package, by its name; that reads what each installed one says of all its files."""
    return packages_distributions()
