"""A part of the terminal that is drawn again and again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType

from harness.cli.terminal import Output

__all__ = ["Live"]

_PER_SECOND = 8


class Live:
    """While entered, shows what ``lines()`` returns, about eight times a second, and takes it away at the end.

    ``lines`` is called from a thread of its own and must only read. What is taller than the terminal is cut. Lines that
    are written to ``output``, or ``beside`` it to the same terminal, stand above it and stay. While the program is
    suspended (Ctrl-Z) the terminal has its cursor back.
    """

    def __init__(self, output: Output, lines: Callable[[], list[str]], *, beside: Output | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive
        from rich.text import Text

        style = output.style
        console = Console(
            file=output.stream,
            force_terminal=True,
            no_color=not style.colour,
            width=style.width or None,
            highlight=False,
            legacy_windows=False,
        )

        def draw() -> Text:
            return Text.from_ansi("\n".join(lines()), no_wrap=True, overflow="crop")

        def above(text: str) -> None:
            console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)

        self._console, self._above = console, above
        self._outputs = [one for one in (output, beside) if one is not None and one.style.terminal]
        self._live = RichLive(
            console=console,
            get_renderable=draw,
            refresh_per_second=_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="ellipsis",
        )

    def __enter__(self) -> Live:
        self._live.start(refresh=True)
        for output in self._outputs:
            output.above = self._above
        self._before = signal.signal(signal.SIGTSTP, self._suspend)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTSTP, self._before)
        for output in self._outputs:
            output.above = None
        self._live.stop()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._console.show_cursor(True)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # here again after SIGCONT
        signal.signal(number, self._suspend)
        self._console.show_cursor(False)

    def refresh(self) -> None:
        """Draw now rather than at the next turn."""
        self._live.refresh()
