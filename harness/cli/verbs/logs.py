"""``harness logs``: what units wrote, stored and live."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.levels import LEVELS, pattern
from harness.cli.render.logs import LogWriter, gap_line, json_line
from harness.cli.session import Cli
from harness.cli.times import parse_moment
from harness_core.domain.errors import UsageError

if TYPE_CHECKING:
    from harness.cli.output import Written
    from harness_core.domain.protocol import LogLine, LogsResult

__all__ = ["VERB"]

#: what the daemon answers at once; more is streamed
_MOST_AT_ONCE = 10_000
_DEFAULT_TAIL = "100"
_STREAMS = {"out": "stdout", "err": "stderr", "all": ""}


def run(
    cli: Cli,
    *,
    names: tuple[str, ...],
    stack: str | None,
    follow: bool,
    tail: str | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    level: str | None,
    stream: str,
    previous: bool,
    timestamps: bool,
    no_prefix: bool,
    raw: bool,
    clear: bool,
) -> int:
    if clear:
        return _clear(cli, names, stack)
    now = time.time()
    # a point in time says how far back, and an earlier life is wanted whole; otherwise it is the last lines
    count = None if (since or previous) and tail is None else _count(tail or _DEFAULT_TAIL)
    if level:
        grep = pattern(level, grep)
    params = {**cli.select, "names": list(names), "stack": stack, "tail": count, "grep": grep, "previous": previous}
    params |= {"since": parse_moment(since, "--since", now) if since else None}
    params |= {"until": parse_moment(until, "--until", now) if until else None, "stream": _STREAMS[stream]}
    if raw:
        return _raw(cli, params, follow=follow)
    writer = LogWriter(cli.out.style, prefix=not no_prefix, times=timestamps)
    if follow or (count is None and not (since or previous)) or (count or 0) > _MOST_AT_ONCE:
        return _streamed(cli, params, writer, follow=follow)
    return _stored(cli, params, writer)


def _clear(cli: Cli, names: tuple[str, ...], stack: str | None) -> int:
    what = ", ".join(names) or stack or "all units"
    if not cli.confirm(f"drop the stored output of {what}?", refuse=f"cannot drop output of {what} without being sure"):
        cli.note("nothing was dropped")
        return 1
    done = cli.call("logs.clear", {**cli.select, "names": list(names), "stack": stack})
    cli.data(done, lambda: [done["message"]])
    return 0


def _count(tail: str) -> int | None:
    if tail == "all":
        return None
    if not tail.isdecimal():
        raise UsageError(f"cannot read --tail {tail!r}: it is no number", hint="write a number of lines, or all")
    return int(tail)


def _stored(cli: Cli, params: Mapping[str, Any], writer: LogWriter) -> int:
    result = cast("LogsResult", cli.call("logs", params))
    lines = result["lines"]
    writer.meet(line["service"] for line in lines)
    cli.data(
        result,
        lambda: (writer.line(line["service"], line["stream"], line["at"], line["text"]) for line in lines),
        rows="lines",
        names=lambda: dict.fromkeys(line["service"] for line in lines),
    )
    for gap in result["gaps"]:
        cli.note(gap_line(gap, cli.err.style))
    return 0


def _streamed(cli: Cli, params: Mapping[str, Any], writer: LogWriter, *, follow: bool) -> int:
    from harness.cli.output import Assembler

    assembler = Assembler()
    try:
        for header, payload in _frames(cli, params, follow=follow):
            text = None if cli.settings.machine else assembler.whole(header, payload)
            block = None if text is None else writer.block(header["service"], header["stream"], text)
            if block is None:
                _write(cli, writer, list(assembler.feed(header, payload)))
            else:
                cli.out.line(block)
    finally:
        _write(cli, writer, list(assembler.rest()))
    return 0


def _write(cli: Cli, writer: LogWriter, lines: list[Written]) -> None:
    if cli.settings.machine:
        cli.out.lines(json_line(cast("LogLine", line._asdict())) for line in lines)
    else:
        cli.out.lines(writer.line(line.service, line.stream, line.at, line.text) for line in lines)


def _raw(cli: Cli, params: Mapping[str, Any], *, follow: bool) -> int:
    for _, payload in _frames(cli, params, follow=follow):
        cli.out.bytes(payload)
    return 0


def _frames(cli: Cli, params: Mapping[str, Any], *, follow: bool) -> Iterator[tuple[Mapping[str, Any], bytes]]:
    """Frames of output through restarts of the daemon, each byte once; gaps are told on standard error."""
    from harness.cli.output import cursor_of
    from harness.cli.watch import outlasting

    cursors: dict[str, int] = {}

    def again() -> dict[str, Any]:
        return {**params, "follow": follow, "cursors": dict(cursors)}

    for header, payload in outlasting(cli, "logs.follow", again):
        if header.get("gap"):
            cli.note(gap_line(str(header["gap"]), cli.err.style))
        if place := cursor_of(header):
            cursors[place[0]] = place[1]
        if payload:
            yield header, payload


VERB = Verb(
    "logs",
    run,
    "Without a name, those of all units. Colours are kept on a terminal; all other control characters are shown "
    "instead of sent, unless with --raw.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("-f", "--follow"), "Go on with what is written, through restarts of units and of the daemon."),
        Option(("-n", "--tail"), "The last N lines of each stream, or all; 100 without it.", "text", metavar="N|all"),
        Option(("--since",), "Not older than this: 10m, 14:30, a date.", "text", metavar="TIME"),
        Option(("--until",), "Not newer than this.", "text", metavar="TIME"),
        Option(("--grep",), "Only lines that match this regular expression.", "text", metavar="RE"),
        Option(
            ("--level",),
            "Only lines that name this level or a more severe one.",
            "choice",
            choices=LEVELS,
            metavar="LEVEL",
        ),
        Option(("--stream",), "Only standard output or error.", "choice", default="all", choices=("out", "err", "all")),
        Option(("--previous",), "The life before the present one."),
        Option(("-t", "--timestamps"), "Begin each line with its time."),
        Option(("--no-prefix",), "Leave out the unit's name."),
        Option(("--raw",), "The bytes as they were written."),
        Option(("--clear",), "Drop the stored output instead of showing it."),
    ),
)
