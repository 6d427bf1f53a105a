"""Verbs against real doors with canned answers: what they ask for, what they print, and with which code they end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain import errors
from harness_core.domain.errors import ExitCode, HarnessError
from tests.cli import rows
from tests.cli.conftest import MakeDaemon
from tests.cli.kit import line

READY = rows.status([rows.row("db"), rows.row("api", dependencies=["db"])])
DONE = {"ok": True, "message": ""}


def refusing(error: HarnessError) -> Any:
    async def handler(request: Any, *stream: Any) -> Any:
        raise error

    return handler


def streaming(result: Any, *items: Any) -> Any:
    """A handler that sends items and ends with a result."""

    async def handler(request: Any, stream: Any) -> Any:
        for item in items:
            await stream.send(item)
        return result

    return handler


SNAPSHOT = {"seq": 42, "snapshot": READY}
UP = rows.result(READY["services"])


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_status_asks_for_what_was_named_from_where_one_stands(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(status=READY)
    ran = line(capfd, "status", "db", "sh*", "--stack", "shop")
    assert ran.code == 0
    assert ran.out.splitlines()[1].startswith("db    ready")
    asked = there.params("status")
    assert (asked.names, asked.stack, asked.cwd) == (["db", "sh*"], "shop", str(Path.cwd()))


@pytest.mark.parametrize("output", ["json", "yaml", "jsonl", "name", "wide"])
def test_every_form_of_output(daemon: MakeDaemon, capfd: Any, output: str) -> None:
    import yaml

    daemon(status=READY)
    ran = line(capfd, "-o", output, "ps")
    assert ran.code == 0
    if output == "name":
        assert ran.out == "shop/db\nshop/api\n"
    elif output == "wide":
        assert "EPOCH" in ran.out
    elif output == "jsonl":
        found = [json.loads(text) for text in ran.out.splitlines()]
        assert [(row["api_version"], row["name"]) for row in found] == [("harness/v1", "db"), ("harness/v1", "api")]
    else:
        found = json.loads(ran.out) if output == "json" else yaml.safe_load(ran.out)
        assert found["api_version"] == "harness/v1"
        assert [row["name"] for row in found["services"]] == ["db", "api"]


def test_what_is_unknown_is_no_success(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(status=rows.status([rows.row("box", "unknown")]))
    assert line(capfd, "status").code == 1


def test_a_failed_unit_is_told_but_only_exit_code_asks_for_more(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(status=rows.status([rows.row("db"), rows.row("api", "failed")]))
    assert line(capfd, "status").code == 0
    assert line(capfd, "status", "--exit-code").code == 1


def test_no_daemon_and_no_past_says_what_to_type(capfd: Any) -> None:
    ran = line(capfd, "status")
    assert ran.code == 5
    assert "harness start FILE" in ran.err
    assert ran.out == ""


def test_following_off_a_terminal_is_a_line_a_change(daemon: MakeDaemon, capfd: Any) -> None:
    stopped = {**READY["services"][0], "state": "failed", "reason": "exit code 3"}
    event = rows.event(43, "state", "shop/db")
    daemon(
        status__follow=streaming(
            DONE,
            SNAPSHOT,
            {"seq": 43, "event": event, "rows": [stopped]},
            {"seq": 44, "event": {**event, "seq": 44}, "rows": [stopped]},
        )
    )
    ran = line(capfd, "status", "--follow")
    assert ran.code == 0
    assert [text.split()[1:3] for text in ran.out.splitlines()] == [
        ["service=shop/db", "state=ready"],
        ["service=shop/api", "state=ready"],
        ["service=shop/db", "state=failed"],
    ]


# ── errors and exit codes ────────────────────────────────────────────────────────────────────────────────────────────

EVERY_ERROR = [
    (errors.OperationFailed, 1),
    (errors.UsageError, 2),
    (errors.InvalidConfiguration, 3),
    (errors.NotAllowed, 4),
    (errors.DaemonUnreachable, 5),
    (errors.Conflict, 6),
    (errors.NotFound, 7),
    (errors.TimedOut, 8),
    (errors.ExecNotStarted, 125),
    (errors.ReadOnly, 1),
    (errors.InternalError, 1),
]


@pytest.mark.parametrize(("kind", "code"), EVERY_ERROR)
def test_every_error_has_its_code_words_and_hint(
    daemon: MakeDaemon, capfd: Any, kind: type[HarnessError], code: int
) -> None:
    error = kind("cannot do it: the moon is full", hint="wait", data={"holders": ["pid 1"]})
    daemon(describe=refusing(error))
    ran = line(capfd, "describe", "db")
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.splitlines() == ["error: cannot do it: the moon is full", "  held by pid 1", "  hint: wait"]
    as_json = line(capfd, "describe", "db", "-o", "json")
    assert as_json.code == code
    assert json.loads(as_json.err)["error"]["code"] == kind.code
    assert json.loads(as_json.err)["error"]["exit_code"] == code


def test_help_names_every_exit_code(capfd: Any) -> None:
    out = line(capfd, "help", "exit-codes").out
    for code in ExitCode:
        assert f"{int(code):>5}  " in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["statsu"], "did you mean status"),
        (["status", "--folow"], "did you mean --follow"),
        (["describe"], "missing argument 'NAME'"),
        (["stop", "--all", "db"], "cannot stop --all and single units"),
        (["stop"], "cannot tell what to stop"),
        (["restart"], "cannot tell what to restart"),
        (["exec", "db"], "no command given"),
        (["exec", "-t", "-T", "db", "--", "ls"], "with and without a terminal"),
        (["exec", "-e", "novalue", "db", "--", "ls"], "KEY=value"),
        (["adopt", "db"], "--pid, --port, --pid-file"),
        (["adopt", "db", "--pid", "1", "--port", "2"], "--pid, --port, --pid-file"),
        (["logs", "--tail", "many"], "it is no number"),
        (["logs", "--since", "yesterday"], "it is no point in time"),
        (["--timeout", "soon", "status"], "it is no duration"),
        (["start"], "there is no harness.yaml here or above"),
        (["start", "a.yaml", "b.yaml", "db"], "cannot tell to which file 'db' belongs"),
        (["start", "--all", "db"], "cannot start --all and single units"),
        (["context", "remove", "local"], "cannot remove the local context"),
        (["completion", "show"], "cannot complete in"),
        (["init", "--name", "Bad Name"], "cannot call a stack"),
        (["daemon"], "Usage: harness daemon"),
    ],
)
def test_misuse_is_exit_2_and_says_what_would_be_right(
    capfd: Any, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    ran = line(capfd, *argv)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["start", "nope.yaml"], 3, "cannot read nope.yaml: no such file"),
        (["validate", "nope.yml"], 3, "cannot read nope.yml"),
        (["describe", "db"], 5, "cannot reach a daemon"),
        (["help", "nothing"], 7, "no such command or topic"),
        (["-H", "nobody", "status"], 7, "no context is called 'nobody'"),
        (["-H", "harness://x", "status"], 2, "cannot use this connection string"),
        (["daemon", "status"], 5, "cannot reach a daemon"),
        (["daemon", "logs"], 1, "was a daemon ever started?"),
    ],
)
def test_other_failures_without_a_daemon(capfd: Any, argv: list[str], code: int, said: str) -> None:
    ran = line(capfd, *argv)
    assert ran.code == code, ran.err
    assert said in ran.err


def test_a_defect_of_ours_is_told_briefly_and_kept(daemon: MakeDaemon, capfd: Any, tmp_path: Path) -> None:
    daemon(status={"services": "not rows", "stacks": []})
    # the doors answer what the handler gave; that it is no status is found out by the renderer
    ran = line(capfd, "status")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    kept = tmp_path / "state" / "client-error.log"
    assert str(kept) in ran.err
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    assert "Traceback" in line(capfd, "-v", "status").err


# ── start and its kin ────────────────────────────────────────────────────────────────────────────────────────────────


def stack_file(text: str = "name: shop\n", name: str = "harness.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_start_sends_the_file_and_only_what_it_names(
    daemon: MakeDaemon, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "secret")
    monkeypatch.setenv("UNRELATED", "x")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    Path("vars.env").write_text("# comment\nexport FROM_FILE='quoted'\nPASSWORD=loses\n")
    stack_file("name: shop\nx: ${PASSWORD:-none} ${SET} ${db.port}\n")
    there = daemon(stack__start=streaming(UP, SNAPSHOT))
    ran = line(capfd, "start", "--set", "SET=1=2", "--env-file", "vars.env", "--profile", "dev", "--timeout", "1m")
    assert ran.code == 0, ran.err
    assert "shop is up" in ran.err
    assert ran.out == ""
    asked = there.params("stack.start")
    assert asked.source.text.startswith("name: shop")
    assert asked.source.filename == "harness.yaml"
    assert asked.source.base_dir == str(Path.cwd())
    assert asked.source.env["PASSWORD"] == "secret"
    assert asked.source.env["SET"] == "1=2"
    assert asked.source.env["FROM_FILE"] == "quoted"
    assert asked.source.env["LC_ALL"] == "C.UTF-8"
    assert "UNRELATED" not in asked.source.env
    assert "HARNESS_INHERIT" not in asked.source.env
    assert (asked.profiles, asked.timeout, asked.wait) == (["dev"], 60.0, True)


def test_start_of_units_of_a_file_under_another_name(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file(name="shop.yaml")
    there = daemon(stack__start=streaming(UP, SNAPSHOT))
    assert line(capfd, "up", "shop.yaml", "api", "-n", "blue", "--no-deps", "--no-wait").code == 0
    asked = there.params("stack.start")
    assert (asked.names, asked.source.name, asked.no_deps, asked.wait) == (["api"], "blue", True, False)


def test_start_of_registered_units_needs_no_file(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__start=streaming(UP, SNAPSHOT))
    assert line(capfd, "start", "api", "db").code == 0
    assert there.params("service.start").names == ["api", "db"]


def test_units_that_nobody_registered_are_looked_for_in_the_nearest_file(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file()
    unknown = refusing(errors.NotFound("no service, task or stack is called 'api'"))
    there = daemon(service__start=unknown, stack__start=streaming(UP, SNAPSHOT))
    assert line(capfd, "start", "api").code == 0
    assert there.params("stack.start").names == ["api"]


def test_a_unit_that_is_nowhere_is_not_found(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(service__start=refusing(errors.NotFound("no service, task or stack is called 'api'")))
    assert line(capfd, "start", "api").code == 7


def test_a_directory_without_a_stack_file_is_not_called_a_unit(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(service__start=refusing(errors.NotFound("no service, task or stack is called 'sub'")))
    Path("sub").mkdir()
    ran = line(capfd, "start", "sub")
    assert ran.code == 3
    assert "holds no harness.yaml" in ran.err
    assert "harness init --file sub/harness.yaml" in ran.err


@pytest.mark.parametrize("word", ["./sub", "sub/", "../gone", "/dev/null"])
def test_a_path_is_never_a_unit(daemon: MakeDaemon, capfd: Any, word: str) -> None:
    daemon(stack__start=refusing(errors.InvalidConfiguration("cannot use it: it is empty")))
    Path("sub").mkdir()
    assert line(capfd, "start", word).code == 3


def test_inherited_variables_are_named_to_the_daemon(
    daemon: MakeDaemon, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "ed")
    stack_file()
    there = daemon(stack__start=streaming(UP, SNAPSHOT))
    line(capfd, "start", "--inherit-env", "EDITOR", "--inherit-env", "NOT_SET")
    env = there.params("stack.start").source.env
    assert (env["EDITOR"], env["HARNESS_INHERIT"]) == ("ed", "EDITOR")
    line(capfd, "start", "--inherit-env", "all")
    assert {"EDITOR", "PATH"} <= set(there.params("stack.start").source.env["HARNESS_INHERIT"].split(","))


def test_a_failed_start_tells_everything_and_exits_1(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file()
    failed = rows.result(rows.shop(), ok=False, failures=[rows.failure()])
    daemon(stack__start=streaming(failed, SNAPSHOT))
    ran = line(capfd, "start")
    assert ran.code == 1
    order = [
        "api failed:",
        "KeyError",
        "not started because of it: web, worker",
        "next: harness logs",
        "could not start",
    ]
    assert sorted(order, key=ran.err.index) == order
    as_json = line(capfd, "start", "-o", "json")
    assert as_json.code == 1
    assert as_json.json["failures"][0]["service"] == "api"
    assert as_json.err == ""


def test_a_wait_that_is_over_exits_8(daemon: MakeDaemon, capfd: Any) -> None:
    late = rows.result(rows.shop()[:4], ok=False, ended_by="timeout")
    daemon(service__wait=streaming(late, SNAPSHOT))
    ran = line(capfd, "wait", "web", "--for", "healthy", "--timeout", "1s")
    assert ran.code == 8
    assert "the work goes on" in ran.err


@pytest.mark.parametrize(
    ("mode", "lines"), [("plain", ["service=shop/db state=ready"]), ("json", ['"name": "db"']), ("quiet", [])]
)
def test_progress_has_its_manners(daemon: MakeDaemon, capfd: Any, mode: str, lines: list[str]) -> None:
    daemon(service__wait=streaming(UP, SNAPSHOT))
    ran = line(capfd, "wait", "db", "--progress", mode)
    assert all(text in ran.err for text in lines)
    assert ("service=shop" in ran.err) == (mode == "plain")
    assert "what was waited for is so" in ran.err


def test_quiet_says_nothing_of_success(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(service__wait=streaming(UP, SNAPSHOT))
    ran = line(capfd, "wait", "-q", "db")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_plan_with_problems_exits_1(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file()
    step = {"name": "api", "kind": "service", "action": "start", "why": "new", "changes": [], "wave": 0}
    plan = {"stack": "shop", "steps": [step], "problems": ["port 80 is taken"], "empty": False}
    daemon(stack__plan=plan)
    for argv in (["plan"], ["start", "--dry-run"]):
        ran = line(capfd, *argv)
        assert ran.code == 1
        assert "+ start    api  new" in ran.out
        assert "problem: port 80 is taken" in ran.out


def test_validate_prints_all_findings_and_exits_3(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file(name="shop.yaml")
    finding = rows.diagnostic()
    daemon(stack__validate={"ok": False, "diagnostics": [finding], "resolved": None})
    ran = line(capfd, "validate", "shop.yaml")
    assert ran.code == 3
    assert "^^^^^^ did you mean 'process'?" in ran.out
    assert "shop.yaml: 1 error" in ran.err
    assert line(capfd, "validate", "shop.yaml", "--format", "github").out.startswith("::error file=shop.yaml,line=10")
    assert line(capfd, "validate", "shop.yaml", "-o", "json").json["diagnostics"][0]["line"] == 10


def test_validate_goes_on_after_a_file_that_cannot_be_read(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(stack__validate={"ok": True, "diagnostics": [], "resolved": None})
    stack_file()
    ran = line(capfd, "validate", "gone.yaml", "harness.yaml")
    assert ran.code == 3
    assert "cannot read gone.yaml" in ran.err
    assert "harness.yaml is valid" in ran.err
    assert there.params("stack.validate").source.filename == "harness.yaml"


def test_validate_resolved_prints_the_effective_configuration(daemon: MakeDaemon, capfd: Any) -> None:
    import yaml

    stack_file()
    resolved = {"name": "shop", "services": {"db": {"target": {"type": "process"}}}}
    there = daemon(stack__validate={"ok": True, "diagnostics": [], "resolved": resolved})
    ran = line(capfd, "validate", "--resolved", "--strict", "-q")
    assert ran.code == 0
    assert yaml.safe_load(ran.out) == resolved
    assert there.params("stack.validate").strict is True


def test_errors_of_a_file_come_with_their_findings(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file()
    error = errors.InvalidConfiguration("cannot start: 1 error", data={"diagnostics": [rows.diagnostic()]})
    daemon(stack__start=refusing(error))
    ran = line(capfd, "start")
    assert ran.code == 3
    assert ran.err.index("--> shop.yaml:10:13") < ran.err.index("error: cannot start")


# ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

AFFECTED = {
    "stack": "shop",
    "steps": [
        {"name": name, "kind": "service", "action": "stop", "why": why, "changes": [], "wave": 0}
        for name, why in (("db", "asked for"), ("api", "needs db"))
    ],
    "problems": [],
    "empty": False,
}
DOWN = rows.result([rows.row("db", "stopped")])


def test_stop_does_not_take_others_along_unasked(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__affected=AFFECTED, service__stop=streaming(DOWN, SNAPSHOT))
    for argv in (["stop", "db"], ["stop", "db", "--no-input"]):
        ran = line(capfd, *argv)
        assert ran.code == 2
        assert "it would also stop api" in ran.err
        assert "-y" in ran.err
    assert all(name != "service.stop" for name, _ in there.asked)


def test_stop_goes_ahead_with_yes_and_passes_its_options(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__affected=AFFECTED, service__stop=streaming(DOWN, SNAPSHOT))
    ran = line(capfd, "down", "-y", "db", "--grace", "1500ms", "--kill")
    assert ran.code == 0
    asked = there.params("service.stop")
    assert (asked.names, asked.grace, asked.force, asked.no_deps) == (["db"], 1.5, True, False)
    assert line(capfd, "stop", "db", "--no-deps").code == 0
    assert there.params("service.stop").no_deps is True


@pytest.mark.parametrize("name", ["shop/db", "d*", "shop"])
def test_what_was_named_in_another_way_is_not_among_the_others(daemon: MakeDaemon, capfd: Any, name: str) -> None:
    alone = {**AFFECTED, "steps": AFFECTED["steps"][:1]}
    daemon(service__affected=alone, service__stop=streaming(DOWN, SNAPSHOT))
    assert line(capfd, "stop", name).code == 0


def test_stop_without_a_name_means_the_stack_of_this_directory(daemon: MakeDaemon, capfd: Any) -> None:
    stack_file()
    here = rows.status([], [rows.stack("mine", base_dir=str(Path.cwd()))])
    there = daemon(status=here, service__stop=streaming(DOWN, SNAPSHOT))
    assert line(capfd, "stop").code == 0
    assert there.params("service.stop").stack == "mine"


def test_stop_all_needs_a_yes(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__stop=streaming(DOWN, SNAPSHOT))
    assert line(capfd, "stop", "--all").code == 2
    assert line(capfd, "stop", "--all", "-y").code == 0
    assert there.params("service.stop").all is True


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_restart_passes_its_options(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__restart=streaming(UP, SNAPSHOT))
    assert line(capfd, "restart", "api", "--grace", "2s").code == 0
    assert there.params("service.restart").grace == 2.0


def test_forget_means_a_stack_where_one_has_the_name(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(status=READY, stack__forget=DONE, service__forget={"ok": True, "message": "db is given up"})
    assert line(capfd, "forget", "shop").code == 2
    assert line(capfd, "forget", "-y", "shop").out == "shop is forgotten\n"
    assert there.params("stack.forget").stack == "shop"
    assert line(capfd, "forget", "-y", "db").out == "db is given up\n"


def test_adopt_names_one_process(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(service__adopt={"ok": True, "message": "db is pid 7 from now on"})
    assert line(capfd, "adopt", "db", "--pid", "7").out == "db is pid 7 from now on\n"
    assert there.params("service.adopt").pid == 7


def test_graph_in_every_form(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(graph=rows.graph())
    assert "└─" in line(capfd, "graph").out
    assert line(capfd, "graph", "-f", "dot").out.startswith("digraph")
    assert line(capfd, "graph", "-f", "mermaid").out.startswith("flowchart")
    assert line(capfd, "graph", "-f", "json").json["api_version"] == "harness/v1"
    assert "critical path: 1.6s" in line(capfd, "graph", "--critical-path").out


def test_what_is_not_there_is_not_asked_about(daemon: MakeDaemon, capfd: Any) -> None:
    async def status(request: Any) -> Any:
        if request.names:
            raise errors.NotFound("no service, task or stack is called 'gone'")
        return READY

    daemon(status=status)
    assert line(capfd, "forget", "gone").code == 7
    assert line(capfd, "token", "revoke", "gone").code == 7


@pytest.mark.parametrize("option", ["--tail", "--after"])
def test_numbers_of_events_are_not_below_zero(capfd: Any, option: str) -> None:
    assert line(capfd, "events", option, "-1").code == 2


def test_events_stand_in_columns_however_long_the_names(daemon: MakeDaemon, capfd: Any) -> None:
    events = [rows.event(1, "stack", "shop/db"), rows.event(2, "stack", "shop/a-very-long-name-of-a-service")]
    daemon(events={"events": events, "first_seq": 1, "last_seq": 2})
    lines = line(capfd, "events").out.splitlines()
    assert lines[0].rindex("stack") == lines[1].rindex("stack")


def test_events_are_the_newest_or_those_after_a_number(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(events={"events": [rows.event(7, "started", pid=1)], "first_seq": 1, "last_seq": 7})
    assert "pid=1" in line(capfd, "events", "--since", "1h", "--type", "started").out
    asked = there.params("events")
    assert (asked.newest, asked.limit, asked.types) == (True, 50, ["started"])
    assert abs(asked.since - (time.time() - 3600)) < 60
    line(capfd, "events", "--after", "5")
    asked = there.params("events")
    assert (asked.newest, asked.after) == (False, 5)


def test_events_go_on_where_the_connection_was_lost(daemon: MakeDaemon, capfd: Any) -> None:
    lives = [[7, 8], [8, 9]]

    async def follow(request: Any, stream: Any) -> Any:
        for seq in lives.pop(0):
            await stream.send(rows.event(seq, "started"))
        if lives:
            raise errors.DaemonUnreachable("cannot go on: the daemon leaves")
        return {"events": [], "first_seq": 1, "last_seq": 9}

    there = daemon(events__follow=follow)
    ran = line(capfd, "events", "-f", "-o", "jsonl")
    assert [json.loads(text)["seq"] for text in ran.out.splitlines()] == [7, 8, 9]
    assert there.params("events.follow").after == 8


def test_top_off_a_terminal_is_one_sample_with_processor_time(daemon: MakeDaemon, capfd: Any) -> None:
    def sample(cpu: float | None) -> Any:
        row = {"name": "db", "stack": "shop", "pid": 1, "processes": 1, "cpu_percent": cpu, "memory_bytes": 1}
        row |= {"state": "ready", "uptime_seconds": 1.0}
        return {"services": [row], "daemon_cpu_percent": None, "daemon_memory_bytes": None}

    daemon(top=streaming(DONE, sample(None), sample(12.5), sample(99.0)))
    assert "12.5%" in line(capfd, "top").out


def test_tokens_are_made_listed_and_revoked(daemon: MakeDaemon, capfd: Any) -> None:
    daemon()
    made = line(capfd, "token", "create", "ci", "--role", "logs", "--expires-in", "1h", "-o", "json")
    assert made.code == 0
    identifier = made.json["id"]
    assert identifier in line(capfd, "token", "list", "-o", "name").out
    assert line(capfd, "token", "revoke", identifier).code == 2
    assert line(capfd, "token", "revoke", "-y", identifier).code == 0
    assert "revoked" in line(capfd, "token", "list").out


def test_the_certificate_is_shown_and_renewed(daemon: MakeDaemon, capfd: Any) -> None:
    daemon()
    assert "127.0.0.1" in line(capfd, "cert", "status").out
    assert "a new certificate was made" in line(capfd, "cert", "rotate").out


def test_a_context_is_added_used_shown_and_removed(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(status=READY)
    address = line(capfd, "token", "create", "me", "-o", "json").json["connection"]
    assert line(capfd, "context", "add", "box", address).code == 0
    assert line(capfd, "context", "add", "box", address).code == 2
    assert line(capfd, "-H", "box", "status", "-o", "name").out.startswith("shop/db")
    assert line(capfd, "-H", address, "status", "-o", "name").out.startswith("shop/db")
    assert line(capfd, "context", "use", "nobody").code == 7
    assert line(capfd, "context", "use", "box").code == 0
    assert "*  box" in line(capfd, "context", "list").out
    assert line(capfd, "context", "show", "-o", "json").json["name"] == "box"
    assert line(capfd, "daemon", "start").code == 2
    assert line(capfd, "context", "remove", "box").code == 0
    assert line(capfd, "context", "list", "-o", "name").out == "local\n"
    assert line(capfd, "context", "show").out.startswith("name  local")


def test_schema_is_plain_json_for_editors(daemon: MakeDaemon, capfd: Any) -> None:
    daemon(schema={"json_schema": {"type": "object"}})
    assert json.loads(line(capfd, "schema").out) == {"type": "object"}


def test_version_needs_no_daemon_and_starts_none(capfd: Any, tmp_path: Path) -> None:
    assert line(capfd, "version").out.startswith("harness 0.")
    assert line(capfd, "version", "-o", "json").json["daemon"] is None
    assert not (tmp_path / "state").exists()


def test_daemon_logs_are_read_from_the_file_when_no_daemon_runs(capfd: Any, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "daemon.log").write_text("one\ntwo \x1b[2J\n")
    assert line(capfd, "daemon", "logs", "-n", "1").out == "two ^[[2J\n"
    assert line(capfd, "daemon", "logs", "-n", "all").out.startswith("one\n")


def test_stopping_a_daemon_that_does_not_run_is_no_failure(capfd: Any) -> None:
    ran = line(capfd, "daemon", "stop")
    assert (ran.code, ran.err) == (0, "the daemon does not run\n")


def test_every_verb_has_help(capfd: Any) -> None:
    from harness.cli.commands import COMMANDS, load

    for name in COMMANDS:
        ran = line(capfd, name, "--help")
        assert ran.code == 0
        assert COMMANDS[name].summary.split(",")[0] in ran.out.replace("\n  ", " ")
        for verb in getattr(load(name), "VERBS", ()):
            assert line(capfd, name, verb.name, "--help").code == 0
