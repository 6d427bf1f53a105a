"""One process of a process-compose.yaml: what it runs, how it is looked after, and the variables in its texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.importers.draft import Block, command_of, words_of
from harness.importers.items import Fields, Report, Spot
from harness.importers.variables import Interpolation
from harness_core.domain.references import escape

__all__ = ["Texts", "can_come_true", "given_shell", "is_kept_up", "write_process"]

_TEMPLATE = re.compile(r"\{\{\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{(\w+)\}|(\w+))")
_NO_COUNTERPART = "it has no counterpart"
_ONE_CHECK = "a service has one check, which is that of its readiness"


class Texts:
    """The texts of one process, with variables put in."""

    def __init__(
        self, expand: Interpolation | None, local: set[str], values: Mapping[str, str], report: Report
    ) -> None:
        """``local`` are the variables that the process has in its own environment; ``values`` those of the project,
        which are written ``{{.NAME}}``. Without ``expand``, a ``$`` is only a dollar sign."""
        self._expand = expand
        self._local = local
        self._values = values
        self._report = report

    def expanded(self, text: str, spot: Spot) -> str:
        """A text as a template of ours."""
        return self._dollars(self._filled(text, spot), spot)

    def pairs(self, pairs: Mapping[str, tuple[Spot, str | None]]) -> dict[str, str]:
        return {key: self.expanded(value or "", spot) for key, (spot, value) in pairs.items()}

    def put_command(self, target: Block, line: str, spot: Spot, shell: tuple[str, str]) -> None:
        """Have a target run a line. What the process has in its own environment is left to the shell to put in: the
        line would get nothing otherwise, as there is no such variable when the file is read."""
        filled = self._filled(line, spot)
        if words_of(filled) is not None:
            command_of(target, filled)
            return
        kept = _VARIABLE.sub(lambda found: "$" * ((found[1] or found[2]) in self._local) + found[0], filled)
        target.put("binary", shell[0])
        target.put("args", [shell[1], self._dollars(kept, spot)])

    def _dollars(self, text: str, spot: Spot) -> str:
        return escape(text) if self._expand is None else self._expand(text, spot)

    def _filled(self, text: str, spot: Spot) -> str:
        def value(found: re.Match[str]) -> str:
            if found[1] not in self._values:
                self._report.lose(spot, found[0], "nothing is known of this variable")
            return self._values.get(found[1], found[0])

        if "{{" in _TEMPLATE.sub("", text):
            self._report.lose(spot, "{{…}}", "only the names of variables are understood in templates")
        return _TEMPLATE.sub(value, text)


def given_shell(fields: Fields) -> tuple[str, str]:
    """What lines are handed to; ``bash -c`` where the file does not say it, as in process-compose."""
    shell = fields.text("shell_command") or "bash", fields.text("shell_argument") or "-c"
    fields.rest({}, _NO_COUNTERPART)
    return shell


def is_kept_up(fields: Fields) -> bool:
    """Whether a process is meant to stay, so that nobody can wait for its end as for that of a task."""
    availability = fields.peek("availability")
    restart = None if availability is None else availability.entries.get("restart")
    probed = any(key in fields for key in ("readiness_probe", "liveness_probe", "ready_log_line"))
    return probed or (restart is not None and restart.text == "always")


def can_come_true(condition: str, fields: Fields) -> bool:
    """Whether a process can ever be what somebody waits for."""
    if condition == "log_ready":
        return "ready_log_line" in fields
    return condition != "healthy" or "readiness_probe" in fields or "liveness_probe" in fields


def write_process(
    unit: Block, target: Block, fields: Fields, texts: Texts, shell: tuple[str, str], *, is_task: bool
) -> None:
    """Everything of a process but its environment, directory and dependencies."""
    entrypoint = [texts.expanded(text, spot) for spot, text in fields.texts_with_spots("entrypoint")]
    line = fields.peek("command")
    if line is not None:
        texts.put_command(target, fields.text("command") or "", line.spot, shell)
    elif entrypoint:
        target.put("binary", entrypoint[0])
        target.put("args", entrypoint[1:])
    else:
        fields.report.wrong(fields.origin, f"{fields.path} has neither command nor entrypoint")
    unit.put("description", fields.text("description"))
    if fields.flag("disabled") or "is_foreground" in fields:
        unit.put("enabled", False, "started when it is named: harness start NAME")
    if namespace := fields.text("namespace"):
        unit.put("labels", {"namespace": namespace})
    _stop(unit, fields.fields("shutdown"), texts)
    availability = fields.fields("availability")
    if is_task:
        unit.put("run", "always")
        _retries(unit, availability)
    else:
        _restart(unit, availability)
        _health(unit, fields, texts)
    availability.rest({}, "when one ends, the others go on")


def _stop(unit: Block, fields: Fields, texts: Texts) -> None:
    found: dict[str, object] = {}
    remarks = []
    line = fields.peek("command")
    if line is not None:
        found["command"] = texts.expanded(fields.text("command") or "", line.spot)
    if signal := fields.text("signal"):
        found["signal"] = signal
    if (seconds := fields.number("timeout_seconds")) is not None:
        found["timeout"] = f"{seconds}s"
    if fields.flag("parent_only"):
        remarks.append("parent_only: what is left after the signal is ended as well")
    fields.rest({}, _NO_COUNTERPART)
    unit.put("stop", found, *remarks)


def _restart(unit: Block, fields: Fields) -> None:
    item = fields.peek("restart")
    word = (fields.text("restart") or "no").replace("-", "_")
    policy = {"no": "no", "never": "no", "exit_on_failure": "no", "always": "always"}.get(word, "on-failure")
    if word == "exit_on_failure" and item is not None:
        fields.report.lose(item.spot, f"{fields.path}.restart", "when one fails, the others go on")
    delay, limit = fields.number("backoff_seconds"), fields.number("max_restarts")
    found: dict[str, object] = {"policy": policy}
    if policy != "no":
        found |= {"delay": f"{delay}s", "max_delay": f"{delay}s"} if delay else {}
        found |= {"burst": int(limit) + 1, "window": "1h"} if limit else {"burst": 0}
    unit.put("restart", found)


def _retries(unit: Block, fields: Fields) -> None:
    """How often a task is tried again, and how long after."""
    limit, delay = fields.number("max_restarts"), fields.number("backoff_seconds")
    if (fields.text("restart") or "no").replace("-", "_") != "on_failure":
        return
    unit.put("retries", int(limit or 1000), *([] if limit else ["without an end, in the file that was imported"]))
    unit.put("retry_delay", f"{delay}s" if delay else None)


def _health(unit: Block, fields: Fields, texts: Texts) -> None:
    """Readiness becomes the health check; where liveness is asked for in the same way, a failure means a restart."""
    ready, live = fields.take("readiness_probe"), fields.take("liveness_probe")
    line = fields.peek("ready_log_line")
    pattern = fields.text("ready_log_line")
    same = ready is None or (live is not None and ready.plain() == live.plain())
    if line is not None and ready is not None:
        fields.report.wrong(line.spot, f"{fields.path} has both a ready_log_line and a readiness_probe")
    if live is not None and not same:
        fields.report.lose(live.spot, f"{fields.path}.liveness_probe", _ONE_CHECK)
    chosen = live if ready is None else ready
    if pattern is not None and ready is None:
        unit.put("health_check", {"log": re.sub(r"([\\.^$*+?{}()\[\]|])", r"\\\1", pattern)})
        if live is not None:
            fields.report.lose(
                live.spot, f"{fields.path}.liveness_probe", "a service has one check: its ready_log_line"
            )
    elif chosen is not None:
        unit.put("health_check", _check(Fields(chosen, f"{fields.path}.probe", fields.report), texts, chosen.spot))
        if live is not None and same:
            restart = unit.entries["restart"]
            unit.put("restart", {**restart, "on_unhealthy": True})


def _check(probe: Fields, texts: Texts, spot: Spot) -> Block:
    check = Block()
    http = probe.fields("http_get" if "http_get" in probe else "http")
    run = probe.fields("exec")
    command = run.text("command")
    if command is not None:
        directory = run.text("working_dir")
        line = command if directory is None else f"cd {directory} && {command}"
        check.put("command", texts.expanded(line, spot))
    else:
        check.put("http", _http(http, texts, spot))
    run.rest({}, _NO_COUNTERPART)
    http.rest({}, "a check asks with GET")
    check.put("interval", f"{probe.number('period_seconds') or 10}s")
    check.put("timeout", f"{probe.number('timeout_seconds') or 1}s")
    check.put("retries", probe.number("failure_threshold") or 3)
    check.put("success_threshold", probe.number("success_threshold"))
    delay = probe.number("initial_delay_seconds")
    check.put("initial_delay", f"{delay}s" if delay else None)
    probe.rest({}, _NO_COUNTERPART)
    return check


def _http(http: Fields, texts: Texts, spot: Spot) -> dict[str, object]:
    scheme, host, path = http.text("scheme") or "http", http.text("host") or "127.0.0.1", http.text("path") or "/"
    port = http.text("port") or http.text("num_port")
    http.take("num_port")
    url = f"{scheme}://{host}{f':{port}' if port else ''}{path}"
    found: dict[str, object] = {"path": texts.expanded(url, spot), "status": [int(http.number("status_code") or 200)]}
    headers = texts.pairs(http.pairs("headers"))
    return {**found, "headers": headers} if headers else found
