"""What a person at a real terminal sees: order of what is written, the cursor, and the way out."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading

import psutil
import pytest

from tests.e2e.conftest import Harness, until

pytestmark = pytest.mark.e2e

ONE = "name: one\nservices: {a: {target: {type: process, shell: exec sleep 1000}}}\n"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Terminal:
    """A command on a terminal of its own; all that it wrote there is in ``seen``."""

    def __init__(self, harness: Harness, *args: str, term: str = "xterm-256color") -> None:
        self._master, slave = pty.openpty()
        self._written = bytearray()
        self.process = subprocess.Popen(
            harness.command(*args),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=harness.folder,
            env=harness.environment() | {"TERM": term},
            process_group=0,  # as a shell does it; a group whose parent is gone cannot be suspended
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._master, 4096):
                self._written += piece
        except OSError:
            pass  # nobody is left on the other side

    @property
    def seen(self) -> str:
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def waits_for(self, text: str) -> None:
        until(lambda: text in self.seen, f"{text!r} on the terminal")

    def end(self) -> int:
        """The exit code, once all that was written has been read."""
        try:
            return self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join()
            os.close(self._master)


def test_a_first_start_tells_of_the_daemon_before_it_draws(harness: Harness) -> None:
    harness.write("harness.yaml", ONE)
    terminal = Terminal(harness, "start")
    assert terminal.end() == 0
    told, _, after = terminal.seen.partition("daemon  started")
    assert HIDE_CURSOR not in told, "nothing is drawn again and again yet"
    assert "0/0" not in terminal.seen
    assert "one is up" in after


def test_a_terminal_that_cannot_redraw_gets_lines(harness: Harness) -> None:
    harness.write("harness.yaml", ONE)
    terminal = Terminal(harness, "start", term="dumb")
    assert terminal.end() == 0
    assert "service=one/a state=ready" in terminal.seen
    assert "\x1b" not in terminal.seen
    watching = Terminal(harness, "status", "--follow", term="dumb")
    watching.waits_for("service=one/a state=ready")
    watching.process.send_signal(signal.SIGINT)
    assert watching.end() == 130


def test_the_cursor_is_back_while_a_live_view_is_suspended(harness: Harness) -> None:
    harness.write("harness.yaml", ONE)
    harness.ok("start")
    terminal = Terminal(harness, "status", "--follow")
    terminal.waits_for("1 of 1 ready")
    process = psutil.Process(terminal.process.pid)
    process.send_signal(signal.SIGTSTP)
    until(lambda: process.status() == psutil.STATUS_STOPPED, "it to be suspended")
    until(lambda: terminal.seen.rfind(SHOW_CURSOR) > terminal.seen.rfind(HIDE_CURSOR), "the cursor")
    process.send_signal(signal.SIGCONT)
    until(lambda: terminal.seen.rfind(HIDE_CURSOR) > terminal.seen.rfind(SHOW_CURSOR), "the view to go on")
    process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.seen.rfind(SHOW_CURSOR) > terminal.seen.rfind(HIDE_CURSOR)


def test_what_is_said_while_a_view_lives_stands_above_it(harness: Harness) -> None:
    harness.write("harness.yaml", ONE)
    harness.ok("start")
    terminal = Terminal(harness, "status", "--follow")
    terminal.waits_for("1 of 1 ready")
    harness.kill_daemon()
    terminal.waits_for("daemon  started")
    lost = terminal.seen.index("the connection to the daemon is lost")
    assert "\x1b[2K" in terminal.seen[:lost].rpartition("NAME")[2], "the view is wiped before it is said"
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130


def test_a_shell_that_left_something_behind_ends(harness: Harness) -> None:
    harness.write("harness.yaml", ONE)
    harness.ok("start")
    terminal = Terminal(harness, "exec", "a", "--", "sh", "-c", "trap '' HUP; sleep 1000 & echo left; read x; exit 7")
    terminal.waits_for("left")
    terminal.type("\n")
    assert terminal.end() == 7
