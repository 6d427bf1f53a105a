"""The world to records and back, and what becomes of records that cannot be read."""

from __future__ import annotations

import json
from typing import Any

from harness_core.domain.events import Event, EventType
from harness_core.domain.states import Kind, Phase, Wanted
from harness_core.domain.stimuli import Apply, Give, Spawned, WantDown
from harness_core.domain.store import RecordKey
from harness_core.domain.world import World, handle
from harness_core.runtime.persistence import changed_records, world_from_records
from tests.domain.build import Play, service, stack, started, task

Records = dict[RecordKey, Any]


def no_journal(key: str) -> Event | None:
    return None


def stored(*worlds: World) -> Records:
    """What a store holds after these worlds followed each other."""
    records: Records = {}
    before = World()
    for world in worlds:
        for key, value in changed_records(before, world).items():
            if value is None:
                del records[key]
            else:
                records[key] = json.loads(json.dumps(value))
        before = world
    return records


def running(*names: str) -> Play:
    play = Play(*(service(name) for name in names))
    for name in names:
        play.feel(Spawned(f"s/{name}", 1, started()))
    return play


def test_a_world_comes_back_as_it_was_stored() -> None:
    play = Play(service("z"), service("a", "z"), task("t", "a"))
    steps = [play.world]
    play.feel(Spawned("s/z", 1, started()))
    steps.append(play.world)
    world, problems = world_from_records(stored(*steps), no_journal)
    assert (world, problems) == (play.world, [])
    assert list(world.units) == ["s/z", "s/a", "s/t"], "in the order of the file"


def test_only_what_changed_is_written() -> None:
    play = running("a", "b")
    before = play.world
    play.feel(WantDown(("s/a",)))
    assert set(changed_records(before, play.world)) == {("unit", "s/a")}
    assert changed_records(play.world, play.world) == {}


def test_what_is_gone_is_removed_from_the_disk() -> None:
    play = Play(service("a"), want=())
    before = play.world
    play.feel(Give("s"))
    assert changed_records(before, play.world) == {("stack", "s"): None, ("unit", "s/a"): None}


def test_a_unit_that_left_its_file_and_still_stops_is_remembered_with_its_definition() -> None:
    play = running("a", "b")
    before = play.world
    play.feel(Apply(stack(service("a"))))
    world, problems = world_from_records(stored(before, play.world), no_journal)
    assert (world.units["s/b"].removed, world.units["s/b"].phase, problems) == (True, Phase.STOPPING, [])


def test_a_damaged_unit_is_taken_from_the_journal_and_named() -> None:
    records = stored(running("a").world)
    records["unit", "s/a"]["phase"] = "no such phase"
    event = Event(9, 0.0, EventType.STATE, "s/a", 3, data={"from": "starting", "to": "running"})
    world, problems = world_from_records(records, lambda key: event)
    unit = world.units["s/a"]
    assert (unit.phase, unit.wanted, unit.epoch, unit.started) == (Phase.RUNNING, Wanted.UP, 3, None)
    assert problems[0].startswith("cannot read the state of s/a: ValueError")
    assert problems[0].endswith("what runs of it is looked for by its marker")


def test_a_missing_unit_keeps_the_users_stop_and_its_number() -> None:
    records = stored(running("a").world)
    del records["unit", "s/a"]
    for last, phase, wanted in [
        ("stopping", Phase.STOPPING, Wanted.DOWN),
        ("stopped", Phase.STOPPED, Wanted.DOWN),
        ("backoff", Phase.WAITING, Wanted.UP),
        ("failed", Phase.FAILED, Wanted.UP),
    ]:
        event = Event(9, 0.0, EventType.STATE, "s/a", 7, data={"from": "running", "to": last})
        unit = world_from_records(records, lambda key, event=event: event)[0].units["s/a"]  # type: ignore[misc]
        assert (unit.phase, unit.wanted, unit.epoch) == (phase, wanted, 7)


def test_a_unit_of_which_nothing_is_known_was_never_started() -> None:
    records = stored(running("a").world)
    del records["unit", "s/a"]
    assert world_from_records(records, no_journal)[0].units["s/a"].phase is Phase.NOT_STARTED


def test_what_runs_of_a_stack_whose_definition_cannot_be_read_is_kept_in_sight() -> None:
    records = stored(running("a").world)
    records["stack", "s"] = {"name": "s"}
    world, problems = world_from_records(records, no_journal)
    unit = world.units["s/a"]
    assert (unit.phase, unit.spec.target, unit.spec.kind) == (Phase.RUNNING, {"type": "mock"}, Kind.SERVICE)
    assert unit.started == started()
    (problem,) = problems
    assert problem.startswith("cannot read the definition of s: ")
    assert problem.endswith("start its file again")
    again, _ = handle(world, Apply(stack(service("a"))), 1.0)
    assert again.units["s/a"].started == started(), "its file takes it up again"


def test_a_task_whose_definition_cannot_be_read_stays_a_task() -> None:
    play = Play(task("t"), fingerprints={"s/t": "f1"})
    records = stored(play.world)
    del records["stack", "s"]
    unit = world_from_records(records, no_journal)[0].units["s/t"]
    assert (unit.spec.kind, unit.spec.target) == (Kind.TASK, {"type": ""})


def test_a_record_that_is_none_is_named_and_left_out() -> None:
    world, problems = world_from_records({("unit", "x"): {}, ("meta", "boot"): {"id": "1"}}, no_journal)
    assert world.units == {}
    assert problems[0].startswith("cannot read the state of x: ")
