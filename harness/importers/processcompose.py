"""A process-compose.yaml, with the project that it extends and the ``.env`` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.importers.draft import INHERITED, Block, Draft, Names, one_shots
from harness.importers.items import Fields, Item, Report, Spot, read_yaml
from harness.importers.processunit import Texts, can_come_true, given_shell, is_kept_up, write_process
from harness.importers.source import Source
from harness.importers.variables import Interpolation
from harness_core.domain.envfile import EnvFileError, parse_env_file

__all__ = ["translate"]

_MAX_COPIES = 100
_MAX_EXTENDS = 8
_LOGS = "output is kept by the daemon and shown by: harness logs"
_VIEW = "it belongs to process-compose's own view"
_PROJECT = {
    "log_location": _LOGS,
    "log_level": "it is a setting of process-compose itself",
    "log_length": _VIEW,
    "log_configuration": _LOGS,
    "log_format": _LOGS,
    "is_tui_disabled": _VIEW,
    "is_strict": "an unknown key is always an error here",
    "env_cmds": "run the command yourself and hand its value over: --set KEY=value",
}
_PROCESS = {
    "log_location": _LOGS,
    "log_configuration": _LOGS,
    "disable_ansi_colors": "colours are kept as they are written",
    "is_tty": "a service gets no terminal",
    "is_foreground": "there is no foreground; it was left disabled",
    "is_elevated": "name the user instead: user: root",
    "is_daemon": "a program that goes to the background by itself has to be kept in the foreground",
    "launch_timeout_seconds": "it belongs to is_daemon",
    "schedule": "nothing is started by the clock",
    "watch": "files are not watched",
}


def translate(source: Source, report: Report) -> Draft:
    """The stack that a process-compose.yaml describes."""
    return _Project(source, Fields(_extended(source, report), "", report), report).translate()


def _extended(source: Source, report: Report) -> Item:
    """The file's items over those of the projects that it extends."""
    item = read_yaml(source.file, source.text)
    found = [item]
    while (parent := item.entries.get("extends")) and len(found) < _MAX_EXTENDS:
        text = source.read(parent.text)
        if text is None:
            report.wrong(parent.spot, f"cannot read {parent.text}, which is extended here")
            break
        item = read_yaml(source.shown(parent.text), text)
        found.append(item)
    merged = found.pop()
    while found:
        merged = _merged(merged, found.pop())
    return merged


def _merged(base: Item, over: Item) -> Item:
    """Mappings are put into each other; of all else the later one counts."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    both = {**base.value, **over.value}
    return Item({key: _merged(base.value.get(key, item), item) for key, item in both.items()}, over.spot)


class _Project:
    """One file on its way into a draft."""

    def __init__(self, source: Source, project: Fields, report: Report) -> None:
        self._source = source
        self._report = report
        self._project = project
        self._draft = Draft(project.text("name") or source.name, [f"imported from {source.file}", INHERITED])
        self._env_file, given = self._dot_env()
        self._interpolation = Interpolation(given, report)
        self._expand = None if project.flag("disable_env_expansion") else self._interpolation
        self._vars = {key: str(item.plain()) for key, item in _entries(project.take("vars"))}
        self._shell = given_shell(project.fields("shell"))
        self._environment = project.pairs("environment")
        texts = Texts(self._expand, set(), self._vars, report)
        self._draft.settings.put("env", texts.pairs(self._environment))
        for key in ("version", "extends"):
            project.take(key)
        self._processes = {
            name: Fields(item, f"processes.{name}", report) for name, item in _entries(project.take("processes"))
        }
        self._copies = {name: self._replicas(fields) for name, fields in self._processes.items()}
        self._names = Names(copy for name in self._processes for copy in self._copied(name))

    def translate(self) -> Draft:
        if not self._processes:
            self._report.wrong(Spot(self._source.file, 1), "there are no processes in it")
        needs = {name: dict(self._needs(fields)) for name, fields in self._processes.items()}
        waited: dict[str, list[str]] = {}
        for need in needs.values():
            for other, (_, condition) in need.items():
                waited.setdefault(other, []).append(condition)
        tasks = {
            name for name in one_shots(waited) if name in self._processes and not is_kept_up(self._processes[name])
        }
        for name, fields in self._processes.items():
            self._write(name, fields, needs[name], tasks)
        self._project.rest(_PROJECT, "it has no counterpart")
        if self._interpolation.used:
            self._draft.head.append("It takes values from .env: harness start FILE --env-file .env")
        return self._draft

    def _write(self, name: str, fields: Fields, needs: Mapping[str, tuple[Spot, str]], tasks: set[str]) -> None:
        """Write one process, as many times as it has replicas."""
        for number, copy in enumerate(self._copied(name)):
            unit_name, fresh = self._names[copy], fields.copy()
            own = fresh.pairs("environment")
            values = {**self._vars, **{key: str(item.plain()) for key, item in _entries(fresh.take("vars"))}}
            values["PC_REPLICA_NUM"] = str(number)
            texts = Texts(self._expand, {*own, *self._environment}, values, self._report)
            target, unit = Block(type="process"), Block()
            env = texts.pairs(own)
            unit.put("target", target)
            unit.put("env_file", self._env_file)
            write_process(unit, target, fresh, texts, self._shell, is_task=name in tasks)
            target.put("env", {**env, "PC_REPLICA_NUM": str(number)} if self._copies[name] > 1 else env)
            directory = fresh.peek("working_dir")
            where = None if directory is None else texts.expanded(fresh.text("working_dir") or ".", directory.spot)
            target.put("working_dir", self._source.working_dir if where is None else self._source.place(where))
            unit.put("dependencies", list(self._dependencies(needs, tasks)))
            (self._draft.tasks if name in tasks else self._draft.services)[unit_name] = unit
            if unit_name != copy:
                self._draft.remark(unit_name, f"called {copy} in {self._source.file}")
            fresh.rest(_PROCESS, "it has no counterpart")

    def _needs(self, fields: Fields) -> Iterator[tuple[str, tuple[Spot, str]]]:
        """What a process waits for, where that stands, and under which condition."""
        wanted = fields.fields("depends_on")
        for name in wanted:
            spot, inner = wanted.spot(name), wanted.fields(name)
            if name not in self._processes:
                self._report.wrong(spot, f"{fields.path} depends on {name}, which is not there")
                continue
            condition = (inner.text("condition") or "process_started").removeprefix("process_")
            if not can_come_true(condition, self._processes[name]):
                why = "it has nothing that could tell so; it waits for the start"
                self._report.lose(spot, f"{fields.path}.depends_on.{name}: {condition}", why)
                condition = "started"
            yield name, (spot, condition)
            inner.rest({}, "it has no counterpart")

    def _dependencies(self, needs: Mapping[str, tuple[Spot, str]], tasks: set[str]) -> Iterator[dict[str, object]]:
        for other, (_, condition) in needs.items():
            for copy in self._copied(other):
                if other in tasks:
                    soft = {} if condition == "completed_successfully" else {"condition": condition}
                    yield {"task": self._names[copy], **soft}
                else:
                    yield {"service": self._names[copy], "condition": condition}

    def _replicas(self, fields: Fields) -> int:
        item = fields.peek("replicas")
        count = int(fields.number("replicas") or 1)
        if count > _MAX_COPIES and item is not None:
            self._report.wrong(item.spot, f"{fields.path}.replicas: more than {_MAX_COPIES} are not written out")
        return min(count, _MAX_COPIES)

    def _copied(self, name: str) -> list[str]:
        count = self._copies[name]
        return [name] if count <= 1 else [f"{name}-{number}" for number in range(count)]

    def _dot_env(self) -> tuple[list[str], set[str]]:
        """The environment file where there is one, and the variables that it gives."""
        text = self._source.read(".env")
        if text is None:
            return [], set()
        try:
            return [self._source.place(".env")], {assignment.name for assignment in parse_env_file(text)}
        except EnvFileError as error:
            self._report.wrong(Spot(self._source.shown(".env"), error.line), error.message)
            return [], set()


def _entries(item: Item | None) -> list[tuple[str, Item]]:
    return [] if item is None else list(item.entries.items())
