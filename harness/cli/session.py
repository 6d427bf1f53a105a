"""What every verb gets: the settings, both output streams, and the way to the daemon."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from harness.cli import chosen
from harness.cli.settings import Settings
from harness.cli.terminal import standard_streams
from harness_core.client import fast, locate
from harness_core.domain.errors import DaemonUnreachable, UsageError

if TYPE_CHECKING:
    from harness_core.client.stream import Stream

__all__ = ["Cli"]

Answer = TypeVar("Answer")


class Cli:
    """One command line being run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out, self.err = standard_streams(settings.color)

    def with_output(self, output: str) -> Cli:
        """The same with another form of output."""
        return Cli(self.settings._replace(output=output))

    # ── output ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def data(
        self,
        body: Mapping[str, Any],
        table: Callable[[], Iterable[str]],
        *,
        rows: str = "",
        names: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Write an answer to standard output in the form that was asked for.

        ``table`` is what people read, ``rows`` the key of the list that JSON lines has one object for (the whole
        answer where it is ""), ``names`` what ``-o name`` prints.
        """
        output = self.settings.output
        if output in ("table", "wide"):
            self.out.lines(table())
            return
        if output == "name":
            self.out.lines(names())
            return
        from harness.cli.render import data

        if output == "json":
            self.out.line(data.as_json(body))
        elif output == "yaml":
            self.out.line(data.as_yaml(body))
        else:
            self.out.lines(data.as_jsonl(body[rows] if rows else (body,)))

    def note(self, text: str) -> None:
        """A remark on standard error, unless quiet or for a program."""
        if not self.settings.quiet and not self.settings.machine:
            self.err.line(text)

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def confirm(self, question: str, *, refuse: str) -> bool:
        """Ask on a terminal. Without one, or with ``--no-input``, raise ``UsageError`` saying ``refuse``: nothing is
        destroyed by a default."""
        if self.settings.yes:
            return True
        if self.settings.no_input or not (sys.stdin.isatty() and self.err.style.terminal):
            raise UsageError(refuse, hint="add -y to go ahead without a question")
        self.err.stream.write(f"{question} [y/N] ")
        self.err.stream.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def select(self) -> dict[str, Any]:
        """What tells the daemon from where names are meant."""
        return {"cwd": _cwd()}

    def call(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        begin: bool = False,
        recover: bool = True,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Ask for an operation that answers at once.

        A local daemon that does not run is started when services may be in its care (``recover``), or for the first
        time (``begin``). ``timeout`` is for operations that take longer than others; ``--timeout`` wins over it.
        Raises what the daemon answered, or ``DaemonUnreachable``.
        """
        limit = self.settings.timeout or timeout or fast.DEFAULT_TIMEOUT

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = fast.call(chosen.endpoint(self.settings.context), method, params, limit)
            return answer

        return self._reaching(ask, begin=begin, recover=recover)

    def stream(
        self, method: str, params: Mapping[str, Any], *, begin: bool = False, recover: bool = True
    ) -> Stream[Any, Any]:
        """Open a stream; the rest as ``call``."""
        from harness_core.client.stream import Stream

        return self._reaching(
            lambda: Stream(chosen.endpoint(self.settings.context), method, params), begin=begin, recover=recover
        )

    def _reaching(self, ask: Callable[[], Answer], *, begin: bool, recover: bool) -> Answer:
        try:
            return ask()
        except DaemonUnreachable as error:
            if not chosen.is_local(self.settings.context) or not (begin or (recover and _something_was_started())):
                raise _without_daemon(error, self.settings.context) from None
            if self.settings.verbose:
                self.note(error.message)
        self.start_daemon()
        return ask()

    def start_daemon(self) -> None:
        """Start the local daemon, detached, and say so."""
        from harness.cli.render.progress import daemon_line
        from harness_core.client import daemon

        directory, began = os.path.abspath(locate.state_dir()), time.monotonic()
        before = daemon.running_pid(directory)
        endpoint = daemon.ensure(directory)
        pid = daemon.running_pid(directory)
        # another command may have started it in the meantime, or it was only busy for a moment
        if pid is not None and pid != before:
            self.note(daemon_line(pid, endpoint.url, time.monotonic() - began, self.err.style))


def _something_was_started() -> bool:
    """Whether this state directory has a past: then services may be running that only wait for their daemon."""
    return os.path.exists(os.path.join(locate.state_dir(), "registry.db"))


def _without_daemon(error: DaemonUnreachable, context: str) -> DaemonUnreachable:
    if not chosen.is_local(context) or _something_was_started() or locate.daemon_file(locate.state_dir()) is not None:
        return error
    return DaemonUnreachable(
        "cannot reach a daemon: none runs, and nothing was started yet", hint="start a stack with: harness start FILE"
    )


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # the directory has been removed
        return ""
