"""In: an import path from the configuration. Out: the class or function it names, checked against its protocol.

What is wrong is told before anything runs: at load, by the key in which the path stands and by what is missing.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import AfterValidator

from mlops_assets.errors import ConfigError

T = TypeVar("T")
NOTHING: Mapping[str, Any] = MappingProxyType({})

EXTRAS = {
    "pyspark": "spark",
    "confluent_kafka": "kafka",
    "psycopg2": "postgres",
    "boto3": "s3",
    "onnxruntime": "onnx",
    "safetensors": "torch",
    "torch": "torch",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "polars": "notebooks",
}
"""Packages that come with an optional extra of this one."""


class PluginError(ConfigError, ValueError):
    """An import path names nothing, or something that is not what it must be.

    It is a ValueError too, so that pydantic tells it with the file, line and key of the configuration.
    """


def implements(protocol: type[Any]) -> AfterValidator:
    """For a key that holds an import path: `reader: Annotated[str, implements(RecordReader)]` is checked at load."""

    def check(path: str) -> str:
        check_plugin(path, protocol)
        return path

    return AfterValidator(check)


def load_plugin(path: str, protocol: type[T], parameters: Mapping[str, Any] = NOTHING) -> T:
    """An object of the class that a path names; if the protocol is a function's (`__call__`), the function itself.

    Parameters
    ----------
    path
        Import path, such as `shop.readers.OrderReader`.
    protocol
        What it must have.
    parameters
        Arguments of the class, by name.

    Raises
    ------
    PluginError
        If there is no such class, it is not what it must be, or it refuses its arguments.
    """
    plugin = check_plugin(path, protocol, parameters)
    is_class = inspect.isclass(plugin)
    try:
        made: T = plugin(**parameters) if is_class else plugin
    except Exception as error:  # the user's own code: whatever it raises is told
        raise PluginError(f"{path} cannot be made: {type(error).__name__}: {error}") from error
    return made


def check_plugin(path: str, protocol: type[Any], parameters: Mapping[str, Any] = NOTHING) -> Any:
    """What an import path names, seen to have every method of a protocol, callable as the protocol calls it.

    Parameters
    ----------
    path, protocol, parameters
        As in `load_plugin`; nothing is made.

    Raises
    ------
    PluginError
        If it has not; the message says what is missing.
    """
    plugin, methods = import_object(path), _methods(protocol)
    if "__call__" in methods:
        _check_function(path, plugin, methods["__call__"])
        return plugin
    if not inspect.isclass(plugin):
        calls = ", ".join(_call(name, method) for name, method in methods.items())
        raise PluginError(f"{path} is {_kind(plugin)}, expected a class with {calls}")
    for name, method in methods.items():
        if not callable(getattr(plugin, name, None)):
            raise PluginError(f"{path} has no method {_call(name, method)}")
        # a static or class method has no `self` that its call leaves out
        bound = not inspect.isfunction(inspect.getattr_static(plugin, name))
        _check_call(f"{path}.{name}", getattr(plugin, name), method, bound=bound)
    _check_made(path, plugin, parameters)
    return plugin


def _check_function(path: str, plugin: Any, call: Callable[..., Any]) -> None:
    if inspect.isclass(plugin) or not callable(plugin):
        raise PluginError(f"{path} is {_kind(plugin)}, expected a function f({', '.join(_parameters(call))})")
    _check_call(path, plugin, call, bound=True)


def import_object(path: str) -> Any:
    """What an import path such as `sklearn.dummy.DummyClassifier` names.

    Raises
    ------
    PluginError
        If there is no such thing.
    """
    module, _, name = path.rpartition(".")
    if not module or not all(map(str.isidentifier, path.split("."))):
        raise PluginError(f"{path!r} cannot be imported: it is no path like package.module.Name")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise PluginError("; ".join([f"{path!r} cannot be imported: {error}", *_hint(path, error)])) from None
    except AttributeError as error:
        raise PluginError(f"{path!r} cannot be imported: {error}") from None
    except Exception as error:  # the user's own module, while it is imported
        raise PluginError(f"{path!r} cannot be imported: {type(error).__name__}: {error}") from error


def _hint(path: str, absent: ModuleNotFoundError) -> list[str]:
    """What to do where a module is absent."""
    if absent.name == path.partition(".")[0] and absent.name not in EXTRAS:
        return ["is its package installed, or its folder on PYTHONPATH?"]
    return [hint for hint in [what_brings(absent)] if hint]


def what_brings(error: ImportError) -> str:
    """How to get the package that could not be imported; empty if it is none of an extra of ours."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return f"pip install 'mlops-assets[{extra}]' brings it" if extra else ""


def plugin_modules(path: str) -> tuple[str, ...]:
    """The modules whose code counts as that of what a path names: where it is found, and where it is defined."""
    return path.rpartition(".")[0], getattr(import_object(path), "__module__", "")


def _methods(protocol: type[Any]) -> dict[str, Callable[..., Any]]:
    """The methods that a protocol names, in its order."""
    kinds = [kind for kind in reversed(protocol.__mro__) if getattr(kind, "_is_protocol", False)]
    members = {name: member for kind in kinds for name, member in vars(kind).items() if inspect.isfunction(member)}
    return {name: member for name, member in members.items() if _is_asked(name)}


def _is_asked(name: str) -> bool:
    return name == "__call__" or not name.startswith("_")


def _parameters(method: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a caller gives, without `self`."""
    return list(inspect.signature(method).parameters)[1:]


def _call(name: str, method: Callable[..., Any]) -> str:
    return f"{name}({', '.join(_parameters(method))})"


def _check_call(what: str, function: Callable[..., Any], method: Callable[..., Any], *, bound: bool) -> None:
    """See that a function takes the arguments with which it will be called."""
    # called without `await`, it would give a coroutine where an answer is expected
    if inspect.iscoroutinefunction(function):
        raise PluginError(f"{what} is `async`; write a plain function")
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C: it does not tell
        return
    wanted = list(inspect.signature(method).parameters.values())[0 if not bound else 1 :]
    by_name = dict.fromkeys(parameter.name for parameter in wanted if parameter.kind is parameter.KEYWORD_ONLY)
    try:
        # bound as it will be called: further arguments of its own may have defaults
        signature.bind(*[None] * (len(wanted) - len(by_name)), **by_name)
    except TypeError as error:
        raise PluginError(f"{what} cannot be called with ({', '.join(_parameters(method))}): {error}") from None


def _check_made(path: str, kind: type[Any], parameters: Mapping[str, Any]) -> None:
    """See that a class can be called with its parameters."""
    if inspect.isabstract(kind):
        raise PluginError(f"{path} is abstract: it lacks {', '.join(sorted(kind.__abstractmethods__))}")
    try:
        inspect.signature(kind).bind(**parameters)
    except ValueError:  # written in C: it does not tell
        return
    except TypeError as error:
        given = f"the parameters {', '.join(parameters)}" if parameters else "no arguments"
        raise PluginError(f"{path} cannot be made with {given}: {error}") from None


def _kind(plugin: Any) -> str:
    if inspect.isclass(plugin):
        return "a class"
    return "a module" if inspect.ismodule(plugin) else f"a {type(plugin).__name__}"
