"""Comparing rendered text with the files in ``tests/golden/cli``; ``HARNESS_UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from harness.cli.render.style import Style

FOLDER = Path(__file__).parent.parent / "golden" / "cli"

#: a pipe, a colour terminal of 100 columns, a narrow one without anything but ASCII
PIPE = Style(local=time.gmtime)
TERMINAL = Style(colour=True, width=100, terminal=True, local=time.gmtime)
NARROW = Style(unicode=False, width=60, terminal=True, local=time.gmtime)


def check(name: str, lines: Iterable[str]) -> None:
    """Fail unless ``lines`` are what the golden file says."""
    text = "".join(f"{line}\n" for line in lines)
    path = FOLDER / f"{name}.txt"
    if os.environ.get("HARNESS_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; HARNESS_UPDATE_GOLDEN=1 writes it anew"


def check_everywhere(name: str, render: object) -> None:
    """``render(style)`` on all three kinds of output; ASCII output must be ASCII."""
    assert callable(render)
    for where, style in (("pipe", PIPE), ("terminal", TERMINAL), ("narrow", NARROW)):
        lines = list(render(style))
        check(f"{name}.{where}", lines)
        if not style.unicode:
            assert "".join(lines).isascii(), name
        if not style.colour:
            assert "\x1b" not in "".join(lines), name
