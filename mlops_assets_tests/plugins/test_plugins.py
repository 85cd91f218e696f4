"""A class of a user's own is found by its import path, and whatever it lacks is told before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Protocol

import pytest
from pydantic import BaseModel, ValidationError

from mlops_assets.errors import ConfigError
from mlops_assets.plugins import PluginError, check_plugin, implements, load_plugin, plugin_modules
from mlops_assets.work.code import code_of, forget


class Greeter(Protocol):
    """What the classes of these tests must look like."""

    def greet(self, name: str, times: int) -> str: ...

    def leave(self, *, politely: bool) -> None: ...


class Measure(Protocol):
    """A function's protocol."""

    def __call__(self, truth: list[str], said: list[str]) -> float: ...


GOOD = """
    def greet(self, name, times):
        return f"{self.word} {name}! " * times

    def leave(self, *, politely):
        pass
"""
MODULE = f"""
import abc

class Good:
    word = "Hello"
{GOOD}

class WithArguments:
    def __init__(self, word, loud=False):
        if not word:
            raise ValueError("a word must be said")
        self.word = word
{GOOD}

class Static(Good):
    @staticmethod
    def greet(name, times):
        return name * times

class AnyArguments(Good):
    def greet(self, *arguments, **more):
        return repr(arguments)

class NoGreet:
    def leave(self, *, politely):
        pass

class TooFew(Good):
    def greet(self, name):
        return name

class TooMany(Good):
    def greet(self, name, times, tone):
        return name

class Rude(Good):
    def leave(self):
        pass

class NotAMethod(Good):
    greet = "hello"

class Later(Good):
    async def greet(self, name, times):
        return name

class Unfinished(abc.ABC, Good):
    @abc.abstractmethod
    def greet(self, name, times): ...

def measure(truth, said):
    return 1.0

def one_sided(truth):
    return 0.0

instance = Good()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package outside the repository, as a user has one."""
    package = tmp_path / "somebody"
    package.mkdir()
    (package / "__init__.py").write_text("from somebody.greeters import Good as Hidden\n")
    (package / "greeters.py").write_text(MODULE)
    (package / "typing_error.py").write_text("class Broken\n")
    (package / "fails.py").write_text("raise RuntimeError('no licence found')\n")
    (package / "spark_one.py").write_text("import confluent_kafka.nothing_like_this\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] in ("somebody", "alone")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["Good", "Static", "AnyArguments"])
def test_a_class_that_keeps_the_protocol_is_made(mine: Path, name: str) -> None:
    assert "Ada" in load_plugin(f"somebody.greeters.{name}", Greeter).greet("Ada", 2)


def test_a_class_gets_its_parameters(mine: Path) -> None:
    assert load_plugin("somebody.greeters.WithArguments", Greeter, {"word": "Hi"}).greet("Ada", 1) == "Hi Ada! "


def test_a_function_is_loaded_as_it_is(mine: Path) -> None:
    assert load_plugin("somebody.greeters.measure", Measure)([], []) == 1.0


BROKEN = {
    "Good": "'Good' cannot be imported: it is no path like package.module.Name",
    "nobody.readers.Reader": "'nobody.readers.Reader' cannot be imported: No module named 'nobody'; is its package installed",
    "somebody.greeters.Godo": "module 'somebody.greeters' has no attribute 'Godo'",
    "somebody.typing_error.Broken": "cannot be imported: SyntaxError: expected ':'",
    "somebody.fails.Reader": "cannot be imported: RuntimeError: no licence found",
    "somebody.spark_one.Target": "; pip install 'mlops-assets[kafka]' brings it",
    "somebody.greeters": "is a module, expected a class with greet(name, times), leave(politely)",
    "somebody.greeters.measure": "is a function, expected a class with greet(name, times), leave(politely)",
    "somebody.greeters.instance": "is a Good, expected a class with greet(name, times)",
    "somebody.greeters.NoGreet": "somebody.greeters.NoGreet has no method greet(name, times)",
    "somebody.greeters.NotAMethod": "somebody.greeters.NotAMethod has no method greet(name, times)",
    "somebody.greeters.TooFew": "TooFew.greet cannot be called with (name, times): too many positional arguments",
    "somebody.greeters.TooMany": "TooMany.greet cannot be called with (name, times): missing a required argument: 'tone'",
    "somebody.greeters.Rude": "Rude.leave cannot be called with (politely): got an unexpected keyword argument 'politely'",
    "somebody.greeters.Later": "somebody.greeters.Later.greet is `async`; write a plain function",
    "somebody.greeters.Unfinished": "somebody.greeters.Unfinished is abstract: it lacks greet",
    "somebody.greeters.WithArguments": "cannot be made with no arguments: missing a required argument: 'word'",
}


@pytest.mark.parametrize(("path", "said"), BROKEN.items(), ids=BROKEN)
def test_what_is_missing_is_told(mine: Path, path: str, said: str) -> None:
    with pytest.raises(PluginError) as error:
        check_plugin(path, Greeter)
    assert said in str(error.value)
    assert isinstance(error.value, ConfigError)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Good", "is a class, expected a function f(truth, said)"),
        ("one_sided", "one_sided cannot be called with (truth, said): too many positional arguments"),
    ],
)
def test_what_is_wrong_with_a_function_is_told(mine: Path, name: str, said: str) -> None:
    with pytest.raises(PluginError) as error:
        check_plugin(f"somebody.greeters.{name}", Measure)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"wrod": "Hi"}, "cannot be made with the parameters wrod: missing a required argument: 'word'"),
        ({"word": "Hi", "loudly": True}, "got an unexpected keyword argument 'loudly'"),
        ({"word": ""}, "cannot be made: ValueError: a word must be said"),
    ],
)
def test_wrong_parameters_are_told(mine: Path, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(PluginError) as error:
        load_plugin("somebody.greeters.WithArguments", Greeter, parameters)
    assert said in str(error.value)


def test_a_key_of_the_configuration_is_checked_by_pydantic(mine: Path) -> None:
    class Settings(BaseModel):
        greeter: Annotated[str, implements(Greeter)] | None = None

    assert Settings(greeter="somebody.greeters.Good").greeter == "somebody.greeters.Good"
    assert Settings().greeter is None
    with pytest.raises(ValidationError) as error:
        Settings(greeter="somebody.greeters.NoGreet")
    told = error.value.errors()[0]
    assert told["loc"] == ("greeter",)
    assert told["msg"] == "Value error, somebody.greeters.NoGreet has no method greet(name, times)"


def test_the_code_of_a_class_is_that_of_where_it_is_found_and_of_where_it_is_defined(mine: Path) -> None:
    assert plugin_modules("somebody.Hidden") == ("somebody", "somebody.greeters")
    assert code_of(*plugin_modules("somebody.Hidden")) == code_of(*plugin_modules("somebody.greeters.Good"))
