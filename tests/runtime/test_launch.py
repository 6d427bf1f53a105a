"""From a unit to the complete order: references, ports, environment, outputs; and what a task would do now."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.executor import StartFailed
from harness_core.domain.references import UnresolvedReference
from harness_core.domain.spec import Check, PortSpec, StopSpec, UnitSpec
from harness_core.domain.states import Endpoint, Handle, Phase, Started
from harness_core.domain.unit import Done, Unit
from harness_core.domain.world import World
from harness_core.runtime import ports
from harness_core.runtime.launch import Launch, fingerprint
from harness_core.testing.executor import MockOptions, mock_plugin
from tests.domain.build import service, task

AUTO = {"http": PortSpec(port="auto")}

Make = Callable[..., Launch]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def launch(*units: Unit) -> Launch:
        world = World({}, {unit.key: unit for unit in units})
        return Launch(tmp_path, {"mock": mock_plugin()}, lambda: world)

    return launch


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


def free_port() -> int:
    return ports.choose("s", "tests", "launch")


def lines(launch: Launch, unit: Unit) -> list[str]:
    options = launch.spec(unit).options
    assert isinstance(options, MockOptions)
    return options.lines


def saying(*lines: str, **fields: Any) -> UnitSpec:
    return service("a", target={"type": "mock", "lines": list(lines)}, **fields)


# ── values of references ─────────────────────────────────────────────────────────────────────────────────────────────


def test_references_take_the_values_that_are_real_after_the_start(make: Make) -> None:
    there = Started(Handle("mock", {}), host="10.0.0.7", endpoints={"main": Endpoint("127.0.0.1", 49153, "postgres")})
    db = Unit(service("db", ports={"main": PortSpec(port=5432)}), phase=Phase.RUNNING, started=there)
    unit = Unit(saying("${db.host} ${db.ip} ${db.port} ${db.ports.main} ${db.url}"))
    assert lines(make(db), unit) == ["10.0.0.7 10.0.0.7 49153 49153 postgres://127.0.0.1:49153"]


def test_what_does_not_run_yet_is_where_it_will_be(make: Make) -> None:
    db = Unit(service("db", ports={"main": PortSpec(port=5432)}), ports={"main": 5432})
    assert lines(make(db), Unit(saying("${db.host}:${db.port}"))) == ["127.0.0.1:5432"]


def test_a_unit_can_speak_of_itself_and_of_what_tasks_gave(make: Make) -> None:
    migrate = Unit(task("migrate"), done=Done("f", 1.0, {"revision": "abc"}))
    unit = Unit(saying("${self.port} ${a.port} ${migrate.revision}", ports=AUTO), ports={"http": 20001})
    assert lines(make(migrate, unit), unit) == ["20001 20001 abc"]


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("${nobody.host}", "nobody is not defined"),
        ("${db.port}", "db has no port"),
        ("${db.ports.admin}", "db has no port 'admin'"),
        ("${migrate.revision}", "the task migrate has no output called 'revision'"),
    ],
)
def test_what_is_missing_is_named(make: Make, reference: str, why: str) -> None:
    launch = make(Unit(service("db")), Unit(task("migrate")))
    with pytest.raises(UnresolvedReference, match=why):
        launch.spec(Unit(saying(reference)))


def test_checks_stop_commands_labels_and_users_may_hold_references(make: Make) -> None:
    db = Unit(service("db", ports={"main": PortSpec(port=5432)}), ports={"main": 5432})
    check = Check.model_validate({"tcp": {"port": "${db.port}"}})
    stop = StopSpec(command="quit ${db.port}")
    unit = Unit(service("a", check=check, stop=stop, labels={"db": "${db.port}"}, user="u${db.port}"))
    launch = make(db)
    assert launch.check(unit).tcp.port == 5432  # type: ignore[union-attr]
    spec, command = launch.stop_command(unit)
    assert command == ["/bin/sh", "-c", "quit 5432"]
    assert (spec.labels, spec.user) == ({"db": "5432"}, "u5432")
    listed = unit.with_(spec=unit.spec.model_copy(update={"stop": StopSpec(command=["quit", "${db.port}"])}))
    assert launch.stop_command(listed)[1] == ["quit", "5432"]


def test_the_environment_names_the_service_and_its_ports_and_the_users_own_wins(make: Make) -> None:
    spec = service(
        "a",
        env={"MODE": "fast", "PORT": "mine"},
        ports={"http": PortSpec(port=80), "admin-ui.v2": PortSpec(port=81, scheme="https")},
    )
    order = make().spec(Unit(spec, ports={"http": 80, "admin-ui.v2": 81}, epoch=3))
    assert order.env == {
        "HARNESS_STACK": "s",
        "HARNESS_SERVICE": "a",
        "PORT": "mine",
        "PORT_HTTP": "80",
        "PORT_ADMIN_UI_V2": "81",
        "MODE": "fast",
    }
    assert order.schemes == {"http": "http", "admin-ui.v2": "https"}
    assert str(order.marker) == "s/a#3"


def test_a_kind_that_nobody_serves_and_options_that_are_wrong_cannot_be_started(make: Make) -> None:
    with pytest.raises(StartFailed, match="no executor for the target type 'x'") as caught:
        make().spec(Unit(service("a", target={"type": "x"})))
    assert caught.value.permanent
    with pytest.raises(StartFailed, match=r"cannot start a: target\.exit_code: ") as caught:
        make().spec(Unit(service("a", target={"type": "mock", "exit_code": "${self.host}"})))
    assert caught.value.permanent


# ── ports ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fixed_port_that_is_taken_names_its_holder_and_may_be_free_next_time(make: Make) -> None:
    with listener() as port:
        unit = Unit(service("a", ports={"http": PortSpec(port=port)}), ports={"http": port})
        with pytest.raises(StartFailed, match=rf"port {port} is taken by pid \d+") as caught:
            await make(unit).prepare(unit, listens=True)
    assert caught.value.hint == "stop it, or set another port for a"
    assert not caught.value.permanent
    assert (await make(unit).prepare(unit, listens=True)).ports == {"http": port}


async def test_a_chosen_port_that_is_taken_meanwhile_is_chosen_anew(make: Make) -> None:
    with listener(free_port()) as port:
        unit = Unit(service("a", ports=AUTO), ports={"http": port})
        order = await make(unit).prepare(unit, listens=True)
    assert order.ports["http"] != port
    assert order.env["PORT"] == str(order.ports["http"])


async def test_where_the_instance_listens_elsewhere_ports_of_this_machine_do_not_matter(make: Make) -> None:
    with listener() as port:
        unit = Unit(service("a", ports={"http": PortSpec(port=port)}), ports={"http": port})
        assert (await make(unit).prepare(unit, listens=False)).ports == {"http": port}


async def test_a_port_that_left_the_definition_during_a_start_is_no_defect(make: Make) -> None:
    with listener() as port:
        unit = Unit(service("a"), ports={"gone": port})
        with pytest.raises(StartFailed, match="is taken"):
            await make(unit).prepare(unit, listens=True)


def test_chosen_ports_are_kept_promised_once_and_fixed_ones_are_as_written(make: Make) -> None:
    other = Unit(service("b"), ports={"x": 20500})
    launch = make(other)
    assert launch.reserved() == {20500}
    spec = service("a", ports={**AUTO, "admin": PortSpec(port=81), "kept": PortSpec(port="auto")})
    taken = launch.reserved()
    chosen = launch.choose_ports(spec, {"kept": 20777, "gone": 1}, taken)
    assert list(chosen) == ["http", "admin", "kept"]
    assert (chosen["admin"], chosen["kept"]) == (81, 20777)
    assert set(chosen.values()) <= taken
    again = launch.choose_ports(service("a", ports=AUTO), {}, set(chosen.values()))
    assert again["http"] not in chosen.values()


# ── outputs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_task_is_told_where_to_leave_its_outputs(make: Make, tmp_path: Path) -> None:
    unit, launch = Unit(task("t"), epoch=2), make()
    order = await launch.prepare(unit, listens=True)
    path = Path(order.env["HARNESS_OUTPUT"])
    assert path == tmp_path / "outputs" / "s" / "t" / "2.env"
    assert launch.read_outputs(unit, 2) == {}
    assert "HARNESS_OUTPUT" not in (await launch.prepare(Unit(service("a")), listens=True)).env


async def test_a_task_of_a_user_that_does_not_exist_cannot_start(make: Make) -> None:
    with pytest.raises(StartFailed, match="there is no user 'nobody-at-all' on this machine") as caught:
        await make().prepare(Unit(task("t", user="nobody-at-all")), listens=True)
    assert caught.value.permanent


# ── what a task would do now ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def project(tmp_path: Path) -> Path:
    base = tmp_path / "project"
    for name in ("migrations/1.sql", "migrations/deep/2.sql", "schema.sql", "notes.txt"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(name)
    return base


def digest(base: Path, *inputs: str, **fields: Any) -> str:
    return fingerprint(task("t", base_dir=str(base), inputs=inputs, **fields))


@pytest.mark.parametrize(
    "pattern", ["migrations", "migrations/*", "migrations/**/*.sql", "**/*.sql", ".", "migrations/deep/2.sql"]
)
def test_a_changed_input_is_another_thing_to_do(project: Path, pattern: str) -> None:
    before = digest(project, pattern)
    (project / "migrations/deep/2.sql").write_text("changed")
    assert digest(project, pattern) != before


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_so_is_an_input_that_came_went_or_was_renamed(project: Path, change: str) -> None:
    before = digest(project, "migrations")
    first = project / "migrations/1.sql"
    if change == "added":
        (project / "migrations/3.sql").write_text("3")
    elif change == "removed":
        first.unlink()
    else:
        first.rename(project / "migrations/0.sql")
    assert digest(project, "migrations") != before


def test_what_is_no_input_does_not_matter(project: Path) -> None:
    before = digest(project, "migrations", "schema.sql", "nothing/here*")
    (project / "notes.txt").write_text("changed")
    assert digest(project, "migrations", "schema.sql", "nothing/here*") == before


def test_another_checkout_of_the_same_files_is_the_same_thing_to_do(project: Path, tmp_path: Path) -> None:
    project.joinpath("[odd] name.sql").write_text("x")
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    assert digest(copy, "**/*", "[odd] name.sql") == digest(project, "**/*", "[odd] name.sql")


def test_inputs_may_lie_elsewhere(project: Path) -> None:
    before = digest(Path("/"), f"{project}/*.sql")
    assert before == digest(Path("/"), f"{project}/schema.sql")
    (project / "schema.sql").write_text("changed")
    assert digest(Path("/"), f"{project}/*.sql") != before


def test_an_input_that_cannot_be_read_is_a_fact_and_no_failure(project: Path) -> None:
    before = digest(project, "schema.sql")
    (project / "schema.sql").unlink()
    (project / "schema.sql").symlink_to(project / "gone")
    unreadable = digest(project, "schema.*")
    assert unreadable not in (before, digest(project))


def test_another_definition_is_another_thing_to_do(project: Path) -> None:
    assert digest(project, digest="1") != digest(project, digest="2")
