"""The formats that can be imported: how each is recognised, and who translates it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.importers import composefile, processcompose, procfile, servicesjson, supervisord
from harness.importers.draft import Draft
from harness.importers.items import Report
from harness.importers.source import Source

__all__ = ["FORMATS", "Format", "recognise"]


class Format(NamedTuple):
    """One kind of file."""

    about: str
    #: the usual names of such files, as a pattern for the whole name
    name: re.Pattern[str]
    #: what stands in such a file and in no other
    content: re.Pattern[str]
    translate: Callable[[Sequence[Source], Report], Draft]
    #: whether several files can be put on top of each other
    layered: bool = False


def _alone(translate: Callable[[Source, Report], Draft]) -> Callable[[Sequence[Source], Report], Draft]:
    return lambda sources, report: translate(sources[0], report)


#: in the order in which they are tried
FORMATS: dict[str, Format] = {
    "compose": Format(
        "a compose file (Docker)",
        re.compile(r"(docker-)?compose([.-].+)?\.ya?ml"),
        re.compile(r"(?m)^services[ \t]*:"),
        composefile.translate,
        layered=True,
    ),
    "procfile": Format(
        "a Procfile",
        re.compile(r"Procfile(\..+)?|.+\.procfile"),
        re.compile(r"(?m)\A(?:[ \t]*(?:#.*)?\n)*(?:web|worker|release|clock)[ \t]*:[ \t]*\S"),
        _alone(procfile.translate),
    ),
    "supervisord": Format(
        "a configuration of supervisord",
        re.compile(r"supervisord?(\..+)?\.(conf|ini)"),
        re.compile(r"(?m)^\[(?:program:.+|supervisord|include)\]"),
        _alone(supervisord.translate),
    ),
    "process-compose": Format(
        "a process-compose project",
        re.compile(r"process-compose([.-].+)?\.ya?ml"),
        re.compile(r"(?m)^processes[ \t]*:"),
        _alone(processcompose.translate),
    ),
    "services.json": Format(
        "a launcher's list of services",
        re.compile(r"services\.json"),
        re.compile(r'"(?:\w+_)?services"\s*:\s*\['),
        _alone(servicesjson.translate),
    ),
}


def recognise(name: str, text: str) -> str | None:
    """The format of a file, by its name where that says it, else by what stands in it; ``None`` when neither does."""
    # compose.yaml may be either: process-compose reads files of that name as well
    if FORMATS["process-compose"].content.search(text) and not FORMATS["compose"].content.search(text):
        return "process-compose"
    by_name = [key for key, format in FORMATS.items() if format.name.fullmatch(name)]
    by_content = [key for key, format in FORMATS.items() if format.content.search(text)]
    return next(iter(by_name or by_content), None)
