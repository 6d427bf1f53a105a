"""What starting a stack file would do, said beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from harness_core.domain.plan import plan, wanted_names
from harness_core.domain.spec import Condition, RunWhen
from harness_core.domain.states import Phase, Wanted
from harness_core.domain.unit import Done, Unit
from harness_core.domain.world import World
from tests.domain.build import edge, service, stack, task

DB, API = service("db"), service("api", "db")
UP: dict[str, Any] = {"wanted": Wanted.UP, "phase": Phase.RUNNING, "running_digest": "1"}


def world(*units: Unit) -> World:
    return World({}, {unit.key: unit for unit in units})


def steps(world_: World, *specs: Any, names: tuple[str, ...] = (), prints: dict[str, str] | None = None) -> list[str]:
    return [
        f"{step['action']} {step['name']}: {step['why']}"
        for step in plan(world_, stack(*specs), names, (), prints or {})
    ]


def test_a_new_stack_starts_in_the_order_of_its_dependencies() -> None:
    found = plan(World(), stack(API, DB), (), (), {})
    assert [(step["name"], step["action"], step["wave"]) for step in found] == [("db", "start", 0), ("api", "start", 1)]
    assert found[0]["why"] == "new"


def test_what_is_up_and_unchanged_stays() -> None:
    assert steps(world(Unit(DB, **UP)), DB) == ["keep db: is up and unchanged"]


def test_a_change_that_needs_a_new_instance_names_the_keys() -> None:
    changed = DB.model_copy(update={"digest": "2", "target": {"type": "mock", "lines": ["x"]}})
    assert steps(world(Unit(DB, **UP)), changed) == ["restart db: changed: target.lines"]


def test_an_instance_of_an_older_definition_is_replaced_even_when_the_file_is_unchanged() -> None:
    old = Unit(DB, **(UP | {"running_digest": "0"}))
    assert steps(world(old), DB) == ["restart db: its instance has an older definition"]


def test_a_change_that_needs_no_new_instance_is_taken_over() -> None:
    changed = DB.model_copy(update={"labels": {"team": "x"}})
    assert steps(world(Unit(DB, **UP)), changed) == ["keep db: takes over without a restart: labels.team"]


def test_what_does_not_run_is_started() -> None:
    down = Unit(DB, phase=Phase.STOPPED, running_digest="0")
    assert steps(world(down), DB) == ["start db: is not running"]


def test_what_the_file_does_not_have_any_more_is_removed_first() -> None:
    found = steps(world(Unit(DB, **UP), Unit(API, **UP)), DB)
    assert found == ["remove api: no longer in the stack file", "keep db: is up and unchanged"]


def test_what_was_not_asked_for_is_skipped_or_kept() -> None:
    extra, off = service("extra"), service("off", enabled=False)
    found = steps(world(Unit(extra, **UP)), DB, extra, off, names=("db",))
    assert found == ["start db: new", "keep extra: not asked for", "skip off: not enabled"]


@pytest.mark.parametrize(
    ("run", "done", "step"),
    [
        (RunWhen.ON_CHANGE, None, "run t: was never done"),
        (RunWhen.ON_CHANGE, Done("then", 1.0), "run t: its definition or an input changed"),
        (RunWhen.ON_CHANGE, Done("now", 1.0), "keep t: done before and unchanged since"),
        (RunWhen.ONCE, Done("then", 1.0), "keep t: done before and unchanged since"),
        (RunWhen.ALWAYS, Done("now", 1.0), "run t: runs at every start"),
    ],
)
def test_a_task_runs_when_it_is_not_done(run: RunWhen, done: Done | None, step: str) -> None:
    spec = task("t", run=run)
    units = (Unit(spec, phase=Phase.COMPLETED, done=done),)
    assert steps(world(*units), spec, prints={"s/t": "now"}) == [step]


def test_who_asked_to_be_restarted_after_a_restart_or_a_run_is_named_and_so_on_along_the_chain() -> None:
    migrate = task("migrate")
    app = service("app").model_copy(update={"edges": (edge("migrate", restart=True), edge("db", restart=True))})
    front = service("front").model_copy(update={"edges": (edge("app", restart=True),)})
    other = service("other").model_copy(update={"edges": (edge("app"), edge("migrate", restart=True))})
    up = [Unit(spec, **UP) for spec in (DB, app, front)]
    ran = Unit(migrate, phase=Phase.COMPLETED, done=Done("then", 1.0))
    found = steps(world(ran, *up), DB, migrate, app, front, other, prints={"s/migrate": "now"})
    assert found == [
        "keep db: is up and unchanged",
        "run migrate: its definition or an input changed",
        "restart app: restarts after migrate",
        "restart front: restarts after app",
        "start other: new",
    ]
    assert steps(world(ran, *up), DB, migrate, app, front, prints={"s/migrate": "then"})[1:] == [
        "keep migrate: done before and unchanged since",
        "keep app: is up and unchanged",
        "keep front: is up and unchanged",
    ]


def test_a_task_that_is_new_runs() -> None:
    assert steps(World(), task("t")) == ["run t: was never done"]


def test_naming_a_unit_means_what_it_depends_on_as_well() -> None:
    assert wanted_names(stack(DB, API, service("web")), ["api"], []) == ["db", "api"]


def test_naming_nothing_means_what_is_enabled_in_the_chosen_profiles() -> None:
    definition = stack(
        DB,
        service("off", enabled=False),
        service("debugger", profiles=("debug",)),
        service("shell", edge("off", Condition.STARTED), profiles=("debug", "ops")),
    )
    assert wanted_names(definition, [], []) == ["db"]
    assert wanted_names(definition, [], ["debug"]) == ["db", "off", "debugger", "shell"]
    assert wanted_names(definition, [], ["ops"]) == ["db", "off", "shell"], (
        "a disabled dependency is needed all the same"
    )
