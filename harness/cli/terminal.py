"""The two output streams: what they can show, and writing to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO

from harness.cli.render.style import Style

__all__ = ["Output", "standard_streams", "style_of"]

_DEFAULT_WIDTH = 80


class Output:
    """One stream and its manners. A closed pipe surfaces as ``BrokenPipeError``, which ends the program quietly."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self.stream = stream
        self.style = style
        #: writes above the part of the terminal that is being drawn again and again, while there is one
        self.above: Callable[[str], None] | None = None

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines and flush, so that order holds between both streams and nothing waits in a pipe."""
        text = "".join(f"{line}\n" for line in lines)
        if self.above is not None:
            self.above(text)
        else:
            self.stream.write(text)
            self.stream.flush()

    def line(self, text: str) -> None:
        self.lines((text,))

    def bytes(self, data: bytes | memoryview) -> None:
        """Write bytes as they are."""
        self.stream.flush()
        self.stream.buffer.write(data)
        self.stream.buffer.flush()


def style_of(stream: TextIO, color: str, environ: Mapping[str, str]) -> Style:
    """What ``stream`` can show. An explicit ``--color`` wins over NO_COLOR, that over FORCE_COLOR, that over what
    the stream is."""
    terminal = _is_terminal(stream)
    return Style(
        colour=_colour(color, terminal, environ),
        unicode=_unicode(stream, environ),
        width=_width(stream, environ) if terminal else 0,
        terminal=terminal,
        redraws=terminal and environ.get("TERM") != "dumb",
    )


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _colour(color: str, terminal: bool, environ: Mapping[str, str]) -> bool:
    if color != "auto":
        return color == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return terminal and environ.get("TERM") != "dumb"


def _unicode(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether both the stream's encoding and the locale know more than ASCII. An unset locale is no objection: that is
    what containers and build machines have, and Python writes UTF-8 there."""
    if not (stream.encoding or "").lower().replace("-", "").startswith("utf"):
        return False
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "UTF-8")
    return locale.lower().replace("-", "").partition("@")[0].endswith("utf8")


def _width(stream: TextIO, environ: Mapping[str, str]) -> int:
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH


def standard_streams(color: str) -> tuple[Output, Output]:
    """Standard output and error. What a stream's encoding cannot say is written as ``\\xNN`` rather than failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    environ = os.environ
    return (
        Output(sys.stdout, style_of(sys.stdout, color, environ)),
        Output(sys.stderr, style_of(sys.stderr, color, environ)),
    )
