"""A supervisord.conf: its programs, those of the files that it includes, and their groups."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise

from harness.importers.draft import INHERITED, MANUAL, ON_DEMAND, Block, Draft, Names, size_text
from harness.importers.ini import read_ini
from harness.importers.items import Fields, Item, Report, Spot
from harness.importers.source import Source
from harness.importers.variables import Variable, template

__all__ = ["translate"]

_MAX_COPIES = 100
_DEFAULT_PRIORITY = "999"
_EXPANSION = re.compile(r"%(?:%|\(([A-Za-z0-9_]+)\)(0?[0-9]*)([sdi]))")
_PAIR = re.compile(r"\s*([A-Za-z0-9_]+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^,]*?)\s*(?:,|\Z)", re.DOTALL)
_OWN_LOGS = "its output is kept here and shown by: harness logs"
_ALWAYS_ALL = "whatever a service has started is ended with it"
_REASONS = {
    "stdout_logfile": _OWN_LOGS,
    "stderr_logfile": _OWN_LOGS,
    "redirect_stderr": "both streams are kept apart and shown together",
    "stdout_syslog": "output goes to files",
    "stderr_syslog": "output goes to files",
    "startsecs": "a service counts as running at once; give it a health_check to tell when it is ready",
    "serverurl": "it belongs to supervisord's own door",
}
_SECTIONS = {
    "unix_http_server": "the daemon has a door of its own",
    "inet_http_server": "the daemon has a door of its own",
    "supervisorctl": "the command harness finds its daemon by itself",
    "rpcinterface": "the daemon has an interface of its own",
    "eventlistener": "it speaks supervisord's event protocol; harness events -f -o jsonl shows what happens",
    "fcgi-program": "a socket that is opened for a program and handed to it has no counterpart",
}


def translate(source: Source, report: Report) -> Draft:
    """The stack that a supervisord.conf describes."""
    sections = read_ini(source.file, source.text, report)
    _include(source, sections, report)
    programs = {name.partition(":")[2].strip(): item for name, item in sections.items() if name.startswith("program:")}
    draft = Draft(source.name, [f"imported from {source.file}", INHERITED])
    copies = {name: _Program(name, item, source, report) for name, item in programs.items()}
    names = Names([copy for program in copies.values() for copy in program.copies])
    for program in copies.values():
        program.write(draft, names)
    _order(draft, copies, names)
    _groups(draft, sections, copies, names, report)
    _own(draft, sections.get("supervisord"), source, report)
    _others(sections, report)
    if not programs:
        report.wrong(Spot(source.file, 1), "there is no [program:…] in it")
    return draft


def _include(source: Source, sections: dict[str, Item], report: Report) -> None:
    """Read what ``[include]`` names; only sections of their own are taken from there, as supervisord does."""
    fields = Fields(sections.pop("include", None), "[include]", report)
    spot = fields.spot("files") if "files" in fields else Spot(source.file, 1)
    for pattern in (fields.text("files") or "").split():
        found = source.find(pattern.replace("%(here)s/", ""))
        if not found:
            report.lose(spot, f"[include] {pattern}", "no file can be read there")
        for path in found:
            text = source.read(path)
            if text is None:
                report.wrong(spot, f"cannot read {path}, which is included here")
                continue
            for name, item in read_ini(source.shown(path), text, report).items():
                sections.setdefault(name, item)


class _Program:
    """One ``[program:x]``, which may stand for several copies."""

    def __init__(self, name: str, item: Item, source: Source, report: Report) -> None:
        self.name = name
        self.spot = item.spot
        self._source = source
        self._report = report
        self._item = item
        fields = Fields(item, f"[program:{name}]", report)
        self.priority = int(fields.number("priority") or _DEFAULT_PRIORITY)
        count = int(fields.number("numprocs") or 1)
        first = int(fields.number("numprocs_start") or 0)
        if count > _MAX_COPIES:
            report.wrong(item.spot, f"[program:{name}].numprocs: more than {_MAX_COPIES} copies are not written out")
            count = 1
        pattern = fields.text("process_name") or (
            "%(program_name)s" if count == 1 else "%(program_name)s_%(process_num)02d"
        )
        self._count = count
        #: by the name of each copy, its number
        self.copies = {self._expanded(pattern, self._values(n)): n for n in range(first, first + count)}

    def _values(self, number: int) -> dict[str, str]:
        return {
            "program_name": self.name,
            "group_name": self.name,
            "process_num": str(number),
            "here": self._source.place("."),
        }

    def _expanded(self, text: str, values: Mapping[str, str]) -> str:
        return _expand(text, values, self.spot, self._report)

    def write(self, draft: Draft, names: Names) -> None:
        """Put every copy into the draft."""
        for copy, number in self.copies.items():
            fields = Fields(self._item, f"[program:{self.name}]", self._report)
            for key in ("priority", "numprocs", "numprocs_start", "process_name"):
                fields.take(key)
            name = names[copy]
            draft.services[name] = self._unit(fields, self._values(number), draft, name)
            if name != self.name:
                draft.remark(name, f"[program:{self.name}]" + (f", copy {number}" if self._count > 1 else ""))

    def _unit(self, fields: Fields, values: Mapping[str, str], draft: Draft, name: str) -> Block:
        def text(key: str) -> str | None:
            written = fields.text(key)
            return None if written is None else self._expanded(written, values)

        unit, target = Block(), Block(type="process")
        self._command(text("command"), target)
        target.put(
            "env", {key: self._expanded(value, values) for key, value in _pairs(fields.text("environment")).items()}
        )
        directory = text("directory")
        target.put("working_dir", self._source.working_dir if directory is None else self._source.place(directory))
        target.put("umask", fields.text("umask"))
        codes = [int(code) for code in (fields.text("exitcodes") or "").split(",") if code.strip().isdecimal()]
        target.put("success_exit_codes", codes)
        unit.put("target", target)
        if not fields.flag("autostart", True):
            unit.put("profiles", [MANUAL], ON_DEMAND)
        unit.put("user", text("user"))
        unit.put("restart", self._restart(fields))
        unit.put("stop", _stop(fields))
        unit.put("logs", _logs(fields))
        if [key for key in ("stopasgroup", "killasgroup") if fields.take(key) is not None]:
            draft.remark(name, f"stopasgroup, killasgroup: {_ALWAYS_ALL}")
        fields.rest(_REASONS, "it has no counterpart")
        return unit

    def _command(self, command: str | None, target: Block) -> None:
        try:
            words = shlex.split(command or "")
        except ValueError as error:
            self._report.wrong(self.spot, f"[program:{self.name}].command: {str(error).lower()}")
            return
        if not words:
            self._report.wrong(self.spot, f"[program:{self.name}] has no command")
            return
        target.put("binary", self._source.place(words[0]) if "/" in words[0] else words[0])
        target.put("args", words[1:])

    @staticmethod
    def _restart(fields: Fields) -> dict[str, object] | None:
        word = (fields.text("autorestart") or "unexpected").lower()
        policy = {"unexpected": "on-failure", "false": "no", "no": "no", "off": "no"}.get(word, "always")
        retries = fields.number("startretries")
        found: dict[str, object] = {} if policy == "on-failure" else {"policy": policy}
        if retries is not None and policy != "no":
            found |= {"burst": int(retries) + 1, "window": "60s"}
        return found


def _expand(text: str, values: Mapping[str, str], spot: Spot, report: Report) -> str:
    """``%(…)s`` replaced by its value; variables of the environment become references."""
    parts: list[str | Variable] = []
    at = 0
    for found in _EXPANSION.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        name, width = found[1], found[2]
        if name is None:
            parts.append("%")
        elif name.startswith("ENV_"):
            parts.append(Variable(name.removeprefix("ENV_")))
        elif name in values:
            parts.append(values[name].rjust(int(width or 0), "0" if width.startswith("0") else " "))
        else:
            report.wrong(spot, f"nothing is known of {found[0]}")
    return template([*parts, text[at:]])


def _stop(fields: Fields) -> dict[str, object]:
    found: dict[str, object] = {}
    if signal := fields.text("stopsignal"):
        found["signal"] = signal.upper().removeprefix("SIG")
    if (seconds := fields.number("stopwaitsecs")) is not None:
        found["timeout"] = f"{seconds}s"
    return found


def _logs(fields: Fields) -> dict[str, object]:
    """How much output is kept: for each stream the same here, so the larger of what is said for both."""
    sizes, backups = [], []
    for stream in ("stdout", "stderr"):
        if size := fields.text(f"{stream}_logfile_maxbytes"):
            sizes.append(size)
        if (number := fields.number(f"{stream}_logfile_backups")) is not None:
            backups.append(int(number))
    found: dict[str, object] = {}
    if largest := max(map(_bytes, sizes), default=0):
        found["max_size"] = size_text(largest)
    if backups:
        found["max_files"] = max(2, max(backups) + 1)
    return found


def _bytes(size: str) -> int:
    """supervisord's sizes are powers of 1024."""
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMG]?)B?\s*", size, re.IGNORECASE)
    return int(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ") if match else 0


def _pairs(text: str | None) -> dict[str, str]:
    """``KEY="value",OTHER=value``."""
    return {key: value[1:-1] if value[:1] in ("'", '"') else value for key, value in _PAIR.findall(text or "")}


def _order(draft: Draft, programs: Mapping[str, _Program], names: Names) -> None:
    """Priorities say who starts before whom, and who is stopped after whom."""
    levels = sorted({program.priority for program in programs.values()})
    by_level = {level: [p for p in programs.values() if p.priority == level] for level in levels}
    for before, level in pairwise(levels):
        needed = [
            {"service": names[copy], "condition": "started", "required": False}
            for program in by_level[before]
            for copy in program.copies
            if "profiles" not in draft.services[names[copy]].entries
        ]
        for program in by_level[level]:
            for copy in program.copies:
                draft.services[names[copy]].put("dependencies", list(needed), f"from its priority, {level}")


def _groups(
    draft: Draft, sections: Mapping[str, Item], programs: Mapping[str, _Program], names: Names, report: Report
) -> None:
    for section, item in sections.items():
        if not section.startswith("group:"):
            continue
        fields = Fields(item, f"[{section}]", report)
        for name in re.split(r"[,\s]+", fields.text("programs") or ""):
            if name in programs:
                for copy in programs[name].copies:
                    draft.services[names[copy]].put("labels", {"group": section.removeprefix("group:").strip()})
            elif name:
                report.wrong(item.spot, f"[{section}] names {name}, which is no program here")
        fields.rest({}, "the order comes from the programs' own priorities")


def _own(draft: Draft, item: Item | None, source: Source, report: Report) -> None:
    """What ``[supervisord]`` says for all programs."""
    fields = Fields(item, "[supervisord]", report)
    spot = item.spot if item else Spot(source.file, 1)
    values = {"here": source.place(".")}
    pairs = _pairs(fields.text("environment"))
    draft.settings.put("env", {key: _expand(value, values, spot, report) for key, value in pairs.items()})
    fields.rest({}, "it is a setting of supervisord itself")


def _others(sections: Mapping[str, Item], report: Report) -> None:
    known = ("program:", "group:", "supervisord")
    for section, item in sections.items():
        if not section.startswith(known):
            report.lose(item.spot, f"[{section}]", _SECTIONS.get(section.partition(":")[0], "it has no counterpart"))
