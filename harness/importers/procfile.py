"""A Procfile, with the ``.env`` beside it: one line, one process."""

from __future__ import annotations

import re

from harness.importers.draft import INHERITED, Block, Draft, Names, command_of
from harness.importers.items import Report, Spot
from harness.importers.source import Source
from harness_core.domain.envfile import EnvFileError, parse_env_file

__all__ = ["BASE_PORT", "PORT_STEP", "translate"]

#: what the tools that read Procfiles give to the first process as PORT, and by how much more to each next one
BASE_PORT = 5000
PORT_STEP = 100

_LINE = re.compile(r"([A-Za-z0-9_-]+)[ \t]*:[ \t]*(.+?)[ \t]*")
#: prepares a deployment: it runs to its end before anything else starts
_RELEASE = "release"


def translate(source: Source, report: Report) -> Draft:
    """The stack that a Procfile describes."""
    lines = _lines(source, report)
    names = Names(lines)
    base, env_file = _dot_env(source, report)
    draft = Draft(
        source.name,
        [
            f"imported from {source.file}",
            "When one ends, the others go on, and it is started again if it failed.",
            INHERITED,
        ],
    )
    has_release = _RELEASE in lines and len(lines) > 1
    for number, (original, (_, line)) in enumerate(lines.items()):
        unit = Block()
        name = names[original]
        target = Block(type="process")
        command_of(target, line)
        target.put("working_dir", source.working_dir)
        unit.put("target", target)
        unit.put("env_file", env_file)
        if name != original:
            draft.remark(name, f"called {original} in the Procfile")
        if original == _RELEASE and has_release:
            draft.tasks[name] = unit
            draft.remark(name, "runs once before the others, and again when it was changed")
            continue
        if original == "web" or re.search(r"\bPORT\b", line):
            unit.put("ports", {"http": base + PORT_STEP * number})
            target.put("env", {"PORT": "${self.port}"})
        if has_release:
            unit.put("dependencies", [{"task": names[_RELEASE]}])
        draft.services[name] = unit
    return draft


def _lines(source: Source, report: Report) -> dict[str, tuple[Spot, str]]:
    found: dict[str, tuple[Spot, str]] = {}
    for number, line in enumerate(source.text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        spot = Spot(source.file, number)
        match = _LINE.fullmatch(line)
        if match is None:
            report.wrong(spot, "this is no line of a Procfile; they look like 'web: ./serve'")
        elif match[1] in found:
            report.wrong(spot, f"{match[1]} is given twice; the first one is in line {found[match[1]][0].line}")
        else:
            found[match[1]] = spot, match[2]
    if not found:
        report.wrong(Spot(source.file, 1), "there is no process in it; lines look like 'web: ./serve'")
    return found


def _dot_env(source: Source, report: Report) -> tuple[int, list[str]]:
    """The first port, and the environment file where there is one."""
    text = source.read(".env")
    if text is None:
        return BASE_PORT, []
    base = BASE_PORT
    try:
        for assignment in parse_env_file(text):
            if assignment.name == "PORT" and assignment.template.isdecimal():
                base = int(assignment.template)
            if "${" in assignment.template:
                spot = Spot(source.shown(".env"), assignment.line)
                report.lose(spot, assignment.name, "'${…}' in it means a reference here; write '$${' if it is text")
    except EnvFileError as error:
        report.wrong(Spot(source.shown(".env"), error.line), error.message)
    return base, [source.place(".env")]
