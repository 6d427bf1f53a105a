"""Whatever a plugin does while it is loaded ends up in its row, and nowhere else."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from pydantic import BaseModel

from harness_core.domain.executor import ExecutorContext, ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl
from harness_core.runtime.plugins import Plugins, load_plugins
from harness_core.testing.executor import mock_plugin


class Options(BaseModel):
    pass


def factory(context: ExecutorContext) -> Any:
    raise AssertionError("nothing is made while plugins are loaded")


def plugin(kind: str) -> ExecutorPlugin:
    return ExecutorPlugin(kind, Options, factory)


Hook = Callable[[Callable[[Any], None]], None]
Load = Callable[..., Plugins]


@pytest.fixture
def load() -> Iterator[Load]:
    """Load plugins whose hooks are given by name: a function, or a whole namespace."""
    made: list[str] = []

    def load(**hooks: Hook | dict[str, Any]) -> Plugins:
        points = []
        for name, hook in hooks.items():
            module = types.ModuleType(f"fake_plugin_{name}")
            body = hook if isinstance(hook, dict) else {"harness_executors": hookimpl(hook)}
            vars(module).update(body)
            sys.modules[module.__name__] = module
            made.append(module.__name__)
            points.append(EntryPoint(name, module.__name__, "harness.executors"))
        return load_plugins(points)

    yield load
    for name in made:
        del sys.modules[name]


def problem(plugins: Plugins, name: str) -> str:
    (row,) = [row for row in plugins.rows if row["name"] == name]
    assert row["status"] == ("broken" if row["problem"] else "ok")
    return row["problem"]


def test_a_plugin_may_register_several_types(load: Load) -> None:
    def both(register: Callable[[Any], None]) -> None:
        register(plugin("two"))
        register(plugin("one"))

    plugins = load(a=both)
    assert set(plugins.executors) == {"one", "two"}
    assert plugins.rows[0]["types"] == ["one", "two"]
    assert problem(plugins, "a") == ""


def test_the_shipped_mock_is_a_plugin() -> None:
    plugins = load_plugins([EntryPoint("mock", "harness_core.testing.executor", "harness.executors")])
    assert plugins.rows[0]["status"] == "ok"
    assert set(plugins.executors) == {"mock"}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyError("x"), GeneratorExit(), MemoryError()])
def test_a_hook_that_raises_is_skipped_with_all_that_it_registered(load: Load, error: BaseException) -> None:
    def half(register: Callable[[Any], None]) -> None:
        register(plugin("half"))
        raise error

    plugins = load(bad=half, good=lambda register: register(plugin("good")))
    assert set(plugins.executors) == {"good"}
    assert problem(plugins, "bad").startswith(type(error).__name__)
    assert problem(plugins, "good") == ""


def test_ctrl_c_is_not_the_plugins(load: Load) -> None:
    def interrupted(register: Callable[[Any], None]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(a=interrupted)


def test_a_misspelt_hook_is_named(load: Load) -> None:
    @hookimpl
    def harness_executor(register: Callable[[Any], None]) -> None: ...

    plugins = load(typo={"harness_executor": harness_executor})
    assert "harness_executor" in problem(plugins, "typo")


def test_a_hook_with_a_wrong_argument_is_named(load: Load) -> None:
    @hookimpl
    def harness_executors(registrar: Callable[[Any], None]) -> None: ...

    assert "registrar" in problem(load(wrong={"harness_executors": harness_executors}), "wrong")


def test_a_module_without_a_hook_is_told_what_is_missing(load: Load) -> None:
    assert "decorate a function harness_executors(register)" in problem(load(none={}), "none")


def test_a_module_that_does_not_exist() -> None:
    plugins = load_plugins([EntryPoint("a", "no_such_module_at_all", "harness.executors")])
    assert plugins.rows[0]["problem"] == "ModuleNotFoundError: No module named 'no_such_module_at_all'"
    plugins = load_plugins([EntryPoint("a", "json:no_such_attribute", "harness.executors")])
    assert plugins.rows[0]["problem"].startswith("AttributeError")


def test_a_type_that_is_taken_is_refused_and_both_are_named(load: Load) -> None:
    plugins = load(first=lambda register: register(mock_plugin()), second=lambda register: register(mock_plugin()))
    assert set(plugins.executors) == {"mock"}
    assert problem(plugins, "first") == ""
    assert problem(plugins, "second") == "cannot register type 'mock' for second: first has registered it"


def test_a_type_is_registered_once_by_one_plugin(load: Load) -> None:
    def twice(register: Callable[[Any], None]) -> None:
        register(plugin("x"))
        register(plugin("x"))

    plugins = load(a=twice)
    assert "a has registered it" in problem(plugins, "a")
    assert plugins.executors == {}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("process", "takes an ExecutorPlugin, not str"),
        (plugin("Two Words"), "'Two Words' cannot be a target type"),
        (plugin(""), "'' cannot be a target type"),
        (ExecutorPlugin(7, Options, factory), "7 cannot be a target type"),  # type: ignore[arg-type]
        (ExecutorPlugin("x", dict, factory), "the options of type 'x' must be a pydantic model class"),  # type: ignore[arg-type]
        (ExecutorPlugin("x", Options(), factory), "the options of type 'x' must be a pydantic model class"),  # type: ignore[arg-type]
        (ExecutorPlugin("x", Options, None), "the factory of type 'x' cannot be called"),  # type: ignore[arg-type]
    ],
)
def test_what_is_registered_is_looked_at(load: Load, wrong: object, told: str) -> None:
    plugins = load(a=lambda register: register(wrong))
    assert told in problem(plugins, "a")
    assert plugins.executors == {}
