"""A region that is drawn again and again, and lines that are written meanwhile."""

from __future__ import annotations

import io

from harness.cli.live import Live
from harness.cli.render.style import Style
from harness.cli.terminal import Output


def test_lines_written_meanwhile_stand_above_the_region() -> None:
    stream = io.StringIO()
    output = Output(stream, Style(colour=True, unicode=True, width=80, terminal=True))
    with Live(output, lambda: ["starting", "0/0"]) as live:
        output.line("\x1b[32mthe daemon\x1b[0m started")
        live.refresh()
    output.line("done")

    written = stream.getvalue()
    before, note, after = written.partition("the daemon\x1b[0m started\n")
    assert note
    assert before.count("starting") >= 1
    assert "\x1b[2K" in before.rpartition("starting")[2], "the region is wiped before the line is written"
    assert after.startswith("starting\n0/0"), "and drawn again below it"
    assert written.endswith("done\n")
