"""What people read, against golden files: a pipe, a colour terminal, a narrow terminal without Unicode."""

from __future__ import annotations

import pytest

from harness.cli.follow import Watched
from harness.cli.render.admin import cert_lines, context_lines, daemon_lines, plugin_lines, token_lines
from harness.cli.render.diagnostics import diagnostic_lines, github_lines, verdict
from harness.cli.render.doctor import doctor_lines
from harness.cli.render.events import event_line
from harness.cli.render.failure import error_lines, failure_lines
from harness.cli.render.graph import critical_lines, dot_lines, mermaid_lines, tree_lines
from harness.cli.render.logs import LogWriter, gap_line, json_line
from harness.cli.render.plan import affected_lines, plan_lines
from harness.cli.render.progress import change, daemon_line, detached, outcome, region
from harness.cli.render.status import change_line, status_lines
from harness.cli.render.story import describe_lines, explain_lines
from harness.cli.render.style import Style
from harness.cli.render.top import top_lines
from tests.cli import rows
from tests.cli.golden import PIPE, TERMINAL, check, check_everywhere


def test_status_of_one_stack() -> None:
    check_everywhere("status", lambda style: status_lines(rows.status(), style))


def test_status_of_several_stacks_names_them() -> None:
    both = [rows.row("db"), rows.row("db", stack="blog")]
    stacks = [rows.stack(), rows.stack("blog", state="up", ready=1, services=1)]
    check_everywhere("status-stacks", lambda style: status_lines(rows.status(both, stacks), style))


def test_status_wide_shows_every_column() -> None:
    check_everywhere("status-wide", lambda style: status_lines(rows.status(), style, wide=True))


def test_status_of_nothing_says_what_to_type() -> None:
    assert status_lines(rows.status([], []), PIPE) == ["nothing is registered; start a stack with: harness start FILE"]


def test_every_change_is_one_line_of_fields() -> None:
    check("changes.pipe", (change_line(row, PIPE, rows.NOW) for row in rows.shop()))
    check("progress-plain.pipe", (change(row, 1.25, PIPE) for row in rows.shop()))


def test_progress_region() -> None:
    arrived = {"shop/db": 0.3, "shop/migrate": 0.4, "shop/api": 0.9, "shop/mailer": 1.0}
    check_everywhere("progress", lambda style: region("start", "shop.yaml", rows.shop(), arrived, 75.0, style))


def test_plan_says_what_changed_once() -> None:
    changed = step("db", "restart", 0, "changed: target.args", ("target.args",))
    lines = plan_lines({"stack": "shop", "steps": [changed], "problems": [], "empty": False}, PIPE)
    assert sum("target.args" in line for line in lines) == 1


def test_the_time_of_a_unit_does_not_hold_that_of_the_daemons_start() -> None:
    now = [100.0]
    watched = Watched("start", "shop", clock=lambda: now[0])
    now[0] = 103.0
    task = rows.row("migrate", kind="task", state="running")
    watched.take({"seq": 1, "snapshot": rows.status([task])})
    now[0] = 103.5
    watched.take({"seq": 2, "rows": [task | {"state": "done"}]})
    assert watched.arrived == {"shop/migrate": 0.5}
    assert watched.seconds == 0.5


def test_a_task_that_runs_has_not_arrived() -> None:
    running = rows.row("migrate", kind="task", state="running")
    assert "✔" not in region("start", "shop", [running], {}, 1.0, PIPE)[1]
    assert "✔" in region("start", "shop", [running | {"state": "done"}], {"shop/migrate": 0.5}, 1.0, PIPE)[1]


@pytest.mark.parametrize("verb", ["start", "stop", "run", "wait"])
def test_what_is_said_when_watching_was_interrupted(verb: str) -> None:
    check(f"detached-{verb}.pipe", detached(verb, rows.shop(), PIPE))
    assert "before the daemon had answered" in detached(verb, [], PIPE)[1]


def test_daemon_that_was_started() -> None:
    check_everywhere("progress-daemon", lambda style: [daemon_line(41233, "https://127.0.0.1:9443", 0.42, style)])


OUTCOMES = {
    "up": ("start", rows.result(rows.shop()[:3])),
    "unchanged": ("start", rows.result(rows.shop()[:3], unchanged=True)),
    "failed": ("start", rows.result(rows.shop(), ok=False, failures=[rows.failure()], warnings=["port 80 is low"])),
    "rolled-back": ("start", rows.result(rows.shop(), ok=False, failures=[rows.failure()], rolled_back=True)),
    "timeout": ("start", rows.result(rows.shop()[2:5], ok=False, ended_by="timeout", seconds=60.0)),
    "down": ("stop", rows.result([rows.row("db", "stopped")])),
    "waited": ("wait", rows.result(rows.shop()[:1], stack="")),
    "task-done": ("run", rows.result(rows.shop()[1:2], unchanged=True, stack="")),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcome(case: str) -> None:
    verb, result = OUTCOMES[case]
    check_everywhere(f"outcome-{case}", lambda style: outcome(verb, result, style))


def test_failure_of_a_silent_service_says_so() -> None:
    silent = rows.failure(last_lines=[], skipped=[], reason="the program /opt/api is not there", exit=None)
    check_everywhere("failure-silent", lambda style: failure_lines(silent, style))


def test_last_lines_are_ten_and_harmless() -> None:
    hostile = rows.failure(last_lines=[*(f"line {n}" for n in range(20)), "\x1b]0;owned\x07\x1b[2J\x1b[31mred"])
    lines = failure_lines(hostile, TERMINAL)
    shown = [line for line in lines if "│" in line]
    assert len(shown) == 10
    assert "^[]0;owned^G^[[2J\x1b[31mred\x1b[0m" in shown[-1]


def test_errors_have_a_hint_and_name_holders() -> None:
    check_everywhere(
        "error",
        lambda style: error_lines(
            "cannot start db: port 5432 is taken",
            "stop it or set ports.db, and if that is not possible let the daemon choose one with `ports: {db: auto}`",
            style,
            {"holders": ["pid 812 (postgres)"]},
        ),
    )


FINDINGS = [
    rows.diagnostic(),
    rows.diagnostic(line=3, column=1, end_column=1, code="", text="\tname:\tx", label="", notes=[], message="a tab"),
    rows.diagnostic(
        line=12, column=9, end_column=12, text="  note: 日本語", severity="warning", code="odd", label="wide"
    ),
    rows.diagnostic(line=20, text="", label="the file ends here", notes=[]),
]


def test_diagnostics() -> None:
    check("diagnostics.pipe", [*diagnostic_lines(FINDINGS, PIPE), verdict(FINDINGS, "shop.yaml", PIPE)])
    check("diagnostics.terminal", [*diagnostic_lines(FINDINGS, TERMINAL), verdict(FINDINGS, "shop.yaml", TERMINAL)])
    check("diagnostics.github", github_lines([*FINDINGS, rows.diagnostic(message="50% of\ntwo, lines", file="a,b:c")]))


def test_verdict_counts_warnings_of_a_valid_file() -> None:
    assert verdict(FINDINGS[2:3], "shop.yaml", PIPE) == "✔ shop.yaml is valid (1 warning)"
    assert verdict([], "shop.yaml", Style(unicode=False)) == "+ shop.yaml is valid"


def step(name: str, action: str, wave: int, why: str = "", changes: tuple[str, ...] = ()) -> dict[str, object]:
    return {"name": name, "kind": "service", "action": action, "why": why, "changes": list(changes), "wave": wave}


PLAN = {
    "stack": "shop",
    "steps": [
        step("db", "keep", 0, "as it is"),
        step("migrate", "run", 1, "its inputs changed"),
        step("api", "restart", 2, "its definition changed", ("target.args", "ports.http")),
        step("web", "start", 3),
        step("old", "remove", 0, "no longer in the file"),
    ],
    "problems": ["port 8080 is taken by pid 812 (nginx)"],
    "empty": False,
}


def test_plan() -> None:
    check_everywhere("plan", lambda style: plan_lines(PLAN, style))  # type: ignore[arg-type]


def test_empty_plan() -> None:
    empty = {**PLAN, "steps": [], "problems": [], "empty": True}
    assert plan_lines(empty, PIPE) == ["shop is as the file says; nothing to do"]  # type: ignore[arg-type]


def test_affected_units_are_those_that_were_not_named() -> None:
    plan = {**PLAN, "steps": [step("db", "stop", 0), step("api", "stop", 0, "needs db"), step("web", "stop", 0)]}
    check_everywhere("affected", lambda style: affected_lines(plan, ["db"], style))  # type: ignore[arg-type]
    assert affected_lines(plan, ["db", "api", "web"], PIPE) == []  # type: ignore[arg-type]


EXPLAINED = {
    "service": rows.shop()[3],
    "verdict": "web waits because api has not been healthy since it started 12 s ago",
    "chain": ["web waits for api to be healthy", "api: GET /healthz answers 503"],
    "story": [
        {"at": rows.NOW, "seq": 40, "text": "wanted up", "cause": "harness start shop.yaml"},
        {"at": rows.NOW + 1, "seq": 41, "text": "waiting for api", "cause": ""},
    ],
    "hints": ["harness logs shop/api"],
}


def test_explain() -> None:
    check_everywhere("explain", lambda style: explain_lines(EXPLAINED, style))  # type: ignore[arg-type]


DESCRIBED = {
    "service": rows.shop()[2],
    "health": {
        "status": "healthy",
        "detail": "GET /healthz: 200",
        "since": rows.NOW - 120,
        "failures": 0,
        "checks": 12,
        "last_duration": 0.004,
    },
    "definition": {"target": {"type": "process", "args": ["-m", "shop.api", ""]}, "restart": {"policy": "on-failure"}},
    "environment": {"PATH": "/usr/bin", "DB_PASSWORD": "***"},
    "pids": [4103, 4110],
    "cpu_seconds": 1.5,
    "memory_bytes": 25_000_000,
    "listening": ["127.0.0.1:41022"],
    "outputs": {},
    "recent": [rows.event(41, "started", pid=4103), rows.event(42, "health", to="healthy", **{"from": "starting"})],
    "logs": {"stdout": "/state/logs/shop/api/stdout.00000000000000000000.log"},
}


def test_describe() -> None:
    check_everywhere("describe", lambda style: describe_lines(DESCRIBED, style))  # type: ignore[arg-type]


def test_graph() -> None:
    check_everywhere("graph-tree", lambda style: tree_lines(rows.graph(), style))
    check_everywhere("graph-critical", lambda style: critical_lines(rows.graph(), style))
    check("graph-mermaid", mermaid_lines(rows.graph()))
    check("graph-dot", dot_lines(rows.graph()))


def test_graph_with_full_names_and_a_cycle_is_still_drawn() -> None:
    drawn = rows.graph()
    for edge in drawn["edges"]:
        edge["source"], edge["target"] = f"shop/{edge['source']}", f"shop/{edge['target']}"
    assert tree_lines(drawn, PIPE) == tree_lines(rows.graph(), PIPE)
    drawn["edges"].append({**drawn["edges"][0], "source": "shop/db", "target": "shop/web"})
    assert len(tree_lines(drawn, PIPE)) >= len(drawn["nodes"])


def test_top() -> None:
    def sample(name: str, cpu: float | None, memory: int | None, processes: int) -> dict[str, object]:
        row = {"name": name, "stack": "shop", "pid": 4100 if processes else None, "processes": processes}
        return {**row, "cpu_percent": cpu, "memory_bytes": memory, "state": "ready", "uptime_seconds": 61.0}

    result = {
        "services": [sample("db", 1.25, 900, 1), sample("api", 99.9, 3 << 30, 4), sample("web", None, None, 0)],
        "daemon_cpu_percent": 0.4,
        "daemon_memory_bytes": 40 << 20,
    }
    check_everywhere("top", lambda style: top_lines(result, style))  # type: ignore[arg-type]


def test_events() -> None:
    events = [
        rows.event(7, "state", cause="harness start", to="starting", **{"from": "not_started"}),
        rows.event(8, "started", pid=4103, ports={"http": 41022}),
        rows.event(9, "exited", code=3, signal=None, oom=False),
        rows.event(10, "exited", code=None, signal=9),
        rows.event(11, "exited", code=None, signal=None, oom=True),
        rows.event(12, "exited"),
        rows.event(13, "log_gap", stream="stdout", bytes=4096, why="the disk was full"),
        rows.event(14, "daemon", service="", cause="it was killed"),
    ]
    check_everywhere("events", lambda style: [event_line(event, style) for event in events])


def test_doctor() -> None:
    checks = [
        {"name": "state directory", "status": "ok", "detail": "/state, mode 0700", "hint": "unused"},
        {"name": "clock", "status": "warning", "detail": "3 s ahead of the daemon", "hint": "set the time"},
        {"name": "PATH", "status": "problem", "detail": "harness is not on it", "hint": "add ~/.local/bin"},
    ]
    check_everywhere("doctor", lambda style: doctor_lines(checks, style))  # type: ignore[arg-type]
    assert doctor_lines(checks[:1], PIPE)[-1] == "all 1 checks are well"  # type: ignore[arg-type]


def test_log_lines() -> None:
    def render(style: Style) -> list[str]:
        writer = LogWriter(style, times=True)
        writer.meet(["shop/db", "shop/worker", "shop/db"])
        return [
            writer.line("shop/db", "stdout", rows.NOW, "ready to accept \x1b[32mconnections\x1b[0m"),
            writer.line("shop/worker", "stderr", rows.NOW + 1, "bell \x07 and \x1b[2J clear\r"),
            writer.line("shop/db", "stdout", rows.NOW + 2, "tab\there"),
            gap_line("4096 bytes of db are gone: the disk was full", style),
        ]

    check_everywhere("logs", render)


def test_log_lines_of_several_stacks_have_full_names() -> None:
    writer = LogWriter(PIPE)
    assert writer.line("shop/db", "stdout", 0.0, "x") == "db │ x"
    assert writer.line("blog/db", "stdout", 0.0, "x") == "blog/db │ x"
    assert writer.line("shop/db", "stdout", 0.0, "x") == "shop/db │ x"


def test_a_bare_log_line_is_the_text_alone() -> None:
    assert LogWriter(PIPE, prefix=False).line("shop/db", "stderr", 0.0, "x") == "x"


def test_log_lines_as_json_hold_what_was_written() -> None:
    line = {"service": "db", "stream": "stdout", "at": 1.5, "epoch": 1, "text": "\x1b[2J\u202e"}
    assert json_line(line) == '{"service":"db","stream":"stdout","at":1.5,"epoch":1,"text":"\\u001b[2J\\u202e"}'  # type: ignore[arg-type]


def test_daemon_tokens_certificate_plugins_and_contexts() -> None:
    daemon = {
        "pid": 41233,
        "url": "https://127.0.0.1:9443",
        "version": "0.1.0",
        "state_dir": "/home/ada/.local/state/harness",
        "protocol": 1,
        "uptime_seconds": 7200.0,
        "started_at": rows.NOW,
        "services": 8,
        "running": 5,
        "connections": 2,
        "read_only": "the disk is full",
        "executors": ["process"],
        "keeper_pid": None,
        "problems": ["the plugin docker is broken"],
        "certificate_expires": rows.NOW + 90 * 86400,
    }
    check_everywhere("daemon", lambda style: daemon_lines(daemon, style))  # type: ignore[arg-type]
    tokens = [
        {
            "id": "t1",
            "name": "ci",
            "role": "viewer",
            "created": rows.NOW,
            "expires": None,
            "last_used": None,
            "revoked": False,
        },
        {
            "id": "t2",
            "name": "ada",
            "role": "admin",
            "created": rows.NOW,
            "expires": rows.NOW,
            "last_used": rows.NOW,
            "revoked": True,
        },
    ]
    check_everywhere("tokens", lambda style: token_lines(tokens, style))  # type: ignore[arg-type]
    cert = {
        "subject_names": ["localhost", "127.0.0.1"],
        "not_before": rows.NOW,
        "not_after": rows.NOW + 86400 * 90,
        "pin": "abc=",
        "ca_path": "/state/tls/ca.pem",
        "renewed": True,
    }
    check_everywhere("cert", lambda style: cert_lines(cert, rows.NOW, style))  # type: ignore[arg-type]
    assert "(expired)" in " ".join(cert_lines(cert, rows.NOW * 2, PIPE))  # type: ignore[arg-type]
    plugins = [
        {
            "name": "process",
            "distribution": "service-harness",
            "version": "0.1.0",
            "types": ["process"],
            "status": "ok",
            "problem": "",
        },
        {
            "name": "lxc",
            "distribution": "lxc-harness",
            "version": "2",
            "types": [],
            "status": "broken",
            "problem": "no module lxc",
        },
    ]
    check_everywhere("plugins", lambda style: plugin_lines(plugins, style))  # type: ignore[arg-type]
    contexts = [
        {"name": "local", "url": "https://127.0.0.1:9443", "pin": "", "current": True},
        {"name": "box", "url": "https://10.0.0.7:9443", "pin": "abc=", "current": False},
    ]
    check_everywhere("contexts", lambda style: context_lines(contexts, style))
