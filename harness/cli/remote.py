"""A command that runs at the daemon's side as if it ran here: input, output, window size and signals pass through."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from harness.cli.terminal import Output
from harness_core.domain.errors import HarnessError

if TYPE_CHECKING:
    from harness_core.client.stream import Stream

__all__ = ["RemoteCommand"]

_PIECE = 32 * 1024
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: written to the wake-up pipe: the command has ended
_END = 0


class RemoteCommand:
    """Carries bytes both ways until the command ends.

    Output is written by the calling thread; input, signals and window sizes are sent by one of its own, woken by a
    pipe, so that a signal handler has nothing to do but to write a byte. In ``raw`` mode the terminal's keys, Ctrl-C
    among them, go to the command as they are; otherwise signals are passed on.
    """

    def __init__(self, stream: Stream[Any, Any], out: Output, err: Output, *, raw: bool, stdin: bool) -> None:
        self._stream = stream
        self._outputs = {"stdout": out, "stderr": err}
        self._raw = raw
        self._stdin = sys.stdin.fileno() if stdin else None
        self._wake_read, self._wake_write = os.pipe()

    def pump(self) -> None:
        """Return when the command has ended and its output is written. Restores the terminal whatever happens."""
        sender = threading.Thread(target=self._send_all, name="exec input", daemon=True)
        with self._signals(), _raw_terminal(self._stdin if self._raw else None):
            sender.start()
            try:
                for header, payload in self._stream:
                    self._outputs.get(str(header.get("stream")), self._outputs["stdout"]).bytes(payload)
            finally:
                self._wake(_END)
                sender.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self, code: int) -> None:
        os.write(self._wake_write, bytes((code,)))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = () if self._raw else _FORWARDED

        def forward(number: int, frame: FrameType | None) -> None:
            self._wake(number)

        before = {number: signal.signal(number, forward) for number in (*numbers, signal.SIGWINCH)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _send_all(self) -> None:
        try:
            if self._stdin is None:
                self._stream.send({"eof": True})
            while self._send_next():
                pass
        except HarnessError:
            # the stream's own end or loss, of which the reading thread tells
            return

    def _send_next(self) -> bool:
        """Wait for what comes first, input or a wake-up, and send it on; ``False`` at the command's end."""
        waiting = [self._wake_read] if self._stdin is None else [self._wake_read, self._stdin]
        ready, _, _ = select.select(waiting, [], [])
        if self._wake_read in ready:
            return all(self._send_signal(code) for code in os.read(self._wake_read, 64))
        assert self._stdin is not None
        data = os.read(self._stdin, _PIECE)
        if data:
            self._stream.send({"stdin": base64.b64encode(data).decode()})
        else:
            self._stdin = None
            self._stream.send({"eof": True})
        return True

    def _send_signal(self, code: int) -> bool:
        if code == _END:
            return False
        if code == signal.SIGWINCH:
            size = shutil.get_terminal_size()
            self._stream.send({"resize": [size.lines, size.columns]})
        else:
            self._stream.send({"signal": code})
        return True


@contextlib.contextmanager
def _raw_terminal(descriptor: int | None) -> Iterator[None]:
    if descriptor is None:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
