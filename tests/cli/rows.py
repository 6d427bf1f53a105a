"""Answers of a daemon for the renderers: a small shop in many states, at a fixed time."""

from __future__ import annotations

from typing import Any

from harness_core.domain.protocol import Failure, OperationResult, ServiceRow, StackRow, StatusResult

NOW = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC


def row(name: str, state: str = "ready", **changes: Any) -> ServiceRow:
    """One unit; what is not said is that of a healthy process."""
    running = state in ("ready", "unhealthy", "starting")
    base: ServiceRow = {
        "name": name,
        "stack": "shop",
        "kind": "service",
        "target": "process",
        "state": state,
        "phase": {"ready": "running", "unhealthy": "running"}.get(state, state),
        "health": "healthy" if state == "ready" else "none",
        "wanted": "up",
        "reason": "",
        "reason_code": "",
        "culprit": "",
        "pid": 4100 + len(name) if running else None,
        "container_id": None,
        "epoch": 1,
        "restarts": 0,
        "uptime_seconds": 125.0 if running else None,
        "since": NOW - 125.0,
        "host": "127.0.0.1",
        "ports": {},
        "url": None,
        "endpoints": {},
        "dependencies": [],
        "exit": None,
        "next_in": None,
        "took_seconds": 0.3 if state == "ready" else None,
        "enabled": True,
        "outdated": False,
        "seq": 42,
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def shop() -> list[ServiceRow]:
    """Every kind of state that a person meets, with the reasons that go with them."""
    return [
        row("db", target="docker", pid=None, container_id="9f86d081884c7d659a2f", ports={"tcp": 5432}),
        row("migrate", "done", phase="completed", kind="task", health="none", dependencies=["db"], took_seconds=0.4),
        row(
            "api",
            url="http://127.0.0.1:41022",
            ports={"http": 41022},
            endpoints={"http": "http://127.0.0.1:41022"},
            dependencies=["db", "migrate"],
            restarts=2,
            epoch=3,
        ),
        row("web", "waiting", reason="waiting for api to be healthy", culprit="api", dependencies=["api"]),
        row(
            "worker",
            "backoff",
            reason="exit code 3, 2 of 5 starts within 10 s",
            next_in=4.0,
            restarts=2,
            dependencies=["api"],
        ),
        row("mailer", "failed", reason="killed by SIGSEGV", exit=exit_info(signal=11, text="killed by SIGSEGV")),
        row("report", "blocked", reason="mailer failed", culprit="mailer", dependencies=["mailer"]),
        row("gpu-box", "unknown", target="remote", host="10.0.0.7", reason="the link to 10.0.0.7 is lost since 12 s"),
        row("old", "unhealthy", health="unhealthy", reason="GET /healthz: 503", outdated=True),
        row("off", "stopped", wanted="down", enabled=False),
    ]


def stack(name: str = "shop", **changes: Any) -> StackRow:
    base: StackRow = {
        "name": name,
        "title": name,
        "base_dir": "/home/ada/shop",
        "filename": "shop.yaml",
        "services": 8,
        "ready": 2,
        "state": "degraded",
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def status(rows: list[ServiceRow] | None = None, stacks: list[StackRow] | None = None) -> StatusResult:
    return {
        "api_version": "harness/v1",
        "seq": 42,
        "at": NOW,
        "stacks": [stack()] if stacks is None else stacks,
        "services": shop() if rows is None else rows,
    }


def exit_info(code: int | None = None, signal: int | None = None, text: str = "") -> Any:
    return {"code": code, "signal": signal, "oom": False, "at": NOW, "text": text or f"exit code {code}"}


def failure(**changes: Any) -> Failure:
    base: Failure = {
        "service": "api",
        "stack": "shop",
        "state": "failed",
        "reason": "5 starts in 10 s, the last one ended with exit code 3",
        "exit": exit_info(3),
        "last_lines": ["Traceback (most recent call last):", '  File "api.py", line 3', "KeyError: 'DATABASE_URL'"],
        "skipped": ["web", "worker"],
        "hint": "",
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def result(rows: list[ServiceRow], **changes: Any) -> OperationResult:
    base: OperationResult = {
        "ok": True,
        "unchanged": False,
        "stack": "shop",
        "services": rows,
        "failures": [],
        "ended_by": "",
        "seconds": 2.9,
        "rolled_back": False,
        "warnings": [],
        "order": [r["name"] for r in rows],
    }
    return {**base, **changes}  # type: ignore[typeddict-item]


def diagnostic(**changes: Any) -> Any:
    return {
        "code": "unknown-target",
        "severity": "error",
        "message": "'proces' is not a target type",
        "file": "shop.yaml",
        "line": 10,
        "column": 13,
        "end_column": 19,
        "text": "      type: proces",
        "label": "did you mean 'process'?",
        "notes": ["known: process, docker", "help: harness plugins   lists installed target types"],
        **changes,
    }


def event(seq: int, type: str, service: str = "shop/api", cause: str = "", **data: Any) -> Any:
    return {
        "seq": seq,
        "at": NOW + seq,
        "type": type,
        "service": service,
        "epoch": 1,
        "cause": cause,
        "request": "",
        "data": data,
    }


def graph() -> Any:
    def node(name: str, state: str, took: float | None, wave: int, **changes: Any) -> dict[str, Any]:
        base = {"name": name, "stack": "shop", "kind": "service", "state": state, "wave": wave}
        return {**base, "took_seconds": took, "critical": name in ("db", "migrate", "api"), **changes}

    def edge(source: str, target: str, condition: str = "healthy", **changes: Any) -> dict[str, Any]:
        return {
            "source": source,
            "target": target,
            "condition": condition,
            "required": True,
            "implied": False,
            **changes,
        }

    return {
        "nodes": [
            node("db", "ready", 0.3, 0),
            node("migrate", "completed", 0.4, 1, kind="task"),
            node("api", "ready", 0.9, 2),
            node("cache", "ready", 0.1, 0),
            node("web", "waiting", None, 3),
        ],
        "edges": [
            edge("migrate", "db"),
            edge("api", "db", implied=True),
            edge("api", "migrate", "completed_successfully"),
            edge("web", "api"),
            edge("web", "cache", "started", required=False),
        ],
        "critical_path": ["db", "migrate", "api"],
        "critical_seconds": 1.6,
    }
