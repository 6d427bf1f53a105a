"""``harness daemon``: the process that owns the stacks."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, cast

from harness.cli import chosen
from harness.cli.grammar import Argument, Option, Verb
from harness.cli.render.admin import daemon_lines
from harness.cli.render.escape import escape_line
from harness.cli.session import Cli
from harness_core.client import locate
from harness_core.domain.errors import DaemonUnreachable, OperationFailed, TimedOut, UsageError

if TYPE_CHECKING:
    from harness_core.domain.protocol import DaemonStatus

__all__ = ["HELP", "VERBS"]

HELP = "Commands start it by themselves when they need it. Services outlive it, and the next one takes them back."

#: seconds: the daemon gives itself 20 to close
_STOP_TIMEOUT = 30.0
_STOP_SERVICES_TIMEOUT = 150.0


def run(
    cli: Cli,
    *,
    host: str,
    port: int | None,
    extra_names: tuple[str, ...],
    state_dir: str | None,
    log_format: str,
    log_level: str,
    foreground: bool,
) -> int:
    """Does not return before the daemon leaves."""
    from pathlib import Path

    from harness.daemon import run as run_daemon

    run_daemon(
        state_dir=Path(os.path.abspath(state_dir or locate.state_dir())),
        host=host,
        port=port,
        names=extra_names,
        log_format=log_format,
        log_level=log_level,
        foreground=foreground,
    )
    return 0


def start(cli: Cli) -> int:
    _only_local(cli, "start")
    from harness_core.client.daemon import answers

    if answers(locate.state_dir()) is not None:
        cli.note("the daemon runs already")
    else:
        cli.start_daemon()
    return _show(cli) if cli.settings.machine else 0


def stop(cli: Cli, *, services: bool) -> int:
    if services and not cli.confirm("stop the daemon and all services?", refuse="cannot stop all without being sure"):
        cli.note("nothing was stopped")
        return 1
    try:
        pid = cli.call("daemon.status", {}, recover=False)["pid"]
    except DaemonUnreachable:
        # what was wanted is so; but services of a past daemon may run, and only a daemon can stop them
        if not services:
            cli.note("the daemon does not run")
            return 0
        pid = cli.call("daemon.status", {})["pid"]
    timeout = _STOP_SERVICES_TIMEOUT if services else None
    done = cli.call("daemon.stop", {"stop_services": services}, timeout=timeout)
    if chosen.is_local(cli.settings.context):
        _await_end(pid, cli.settings.timeout or _STOP_TIMEOUT)
    cli.data(done, lambda: [escape_line(done["message"]) or "the daemon stopped"])
    return 0 if done["ok"] else 1


def _await_end(pid: int, timeout: float) -> None:
    from harness_core.client.daemon import running_pid

    deadline = time.monotonic() + timeout
    while running_pid(locate.state_dir()) == pid:
        if time.monotonic() > deadline:
            raise TimedOut(f"cannot see the daemon end: pid {pid} is still there", hint="harness daemon logs")
        time.sleep(0.02)


def status(cli: Cli) -> int:
    return _show(cli)


def _show(cli: Cli) -> int:
    result = cast("DaemonStatus", cli.call("daemon.status", {}, recover=False))
    cli.data(result, lambda: daemon_lines(result, cli.out.style), names=lambda: [str(result["pid"])])
    return 0


def logs(cli: Cli, *, follow: bool, tail: str) -> int:
    if tail != "all" and not tail.isdecimal():
        raise UsageError(f"cannot read --tail {tail!r}: it is no number", hint="write a number of lines, or all")
    count = None if tail == "all" else int(tail)
    try:
        with cli.stream("daemon.logs", {"tail": count, "follow": follow}, recover=False) as stream:
            for item in stream:
                cli.out.lines(escape_line(line) for line in item["lines"])
    except DaemonUnreachable:
        # why a daemon is not there is just what its log tells
        if follow or not chosen.is_local(cli.settings.context):
            raise
        cli.out.lines(escape_line(line) for line in _stored(count))
    return 0


def _stored(count: int | None) -> list[str]:
    path = os.path.join(locate.state_dir(), "daemon.log")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise OperationFailed(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}", hint="was a daemon ever started?"
        ) from None
    return lines if count is None else lines[len(lines) - min(count, len(lines)) :]


def backup(cli: Cli, *, file: str) -> int:
    _only_local(cli, "back up")
    from pathlib import Path

    from harness.maintenance import back_up

    written = str(back_up(Path(locate.state_dir()), Path(os.path.abspath(file))))
    cli.data({"file": written}, lambda: [f"wrote {written}"], names=lambda: [written])
    return 0


def restore(cli: Cli, *, file: str) -> int:
    _only_local(cli, "restore")
    if not cli.confirm(f"replace the registry by {file}?", refuse="cannot replace the registry without being sure"):
        cli.note("nothing was changed")
        return 1
    from pathlib import Path

    from harness.maintenance import restore as bring_back

    kept = bring_back(Path(locate.state_dir()), Path(os.path.abspath(file)))
    aside = f"; the one before is kept as {kept}" if kept else ""
    cli.data({"file": file, "kept": str(kept) if kept else None}, lambda: [f"the registry is that of {file}{aside}"])
    return 0


def install(cli: Cli, *, show_only: bool) -> int:
    from harness.cli.systemd import install_unit, unit_text

    if show_only:
        cli.out.stream.write(unit_text())
        return 0
    _only_local(cli, "install")
    path = install_unit(cli)
    cli.data({"file": path}, lambda: [f"wrote {path}"], names=lambda: [path])
    cli.note("  systemctl --user daemon-reload")
    cli.note("  systemctl --user enable --now harness   start it now and at every login")
    cli.note("  loginctl enable-linger                  and at boot, without a login")
    return 0


def _only_local(cli: Cli, what: str) -> None:
    if not chosen.is_local(cli.settings.context):
        name = chosen.meant(cli.settings.context).partition("#")[0]
        raise UsageError(f"cannot {what} the daemon of {name} from here", hint="do it on its machine, or use -H local")


_RUN = (
    Option(("--host",), "The address to listen on.", "text", default="127.0.0.1", metavar="ADDRESS"),
    Option(("--port",), "The port; 9443 without it, or a free one when that is taken.", "int"),
    Option(
        ("--name",), "A further name of this machine for the certificate.", "text", many=True, parameter="extra_names"
    ),
    Option(
        ("--state-dir",), "Where its state is kept.", "text", metavar="DIR", complete="file", envvar="HARNESS_STATE_DIR"
    ),
    Option(("--log-format",), "How it logs.", "choice", default="text", choices=("text", "json")),
    Option(
        ("--log-level",), "How much it logs.", "choice", default="info", choices=("debug", "info", "warning", "error")
    ),
    Option(("--foreground",), "Also log to standard error."),
)

VERBS = (
    Verb(
        "run", run, "In this process, until SIGTERM, Ctrl-C or `harness daemon stop`.", (), _RUN, "Run the daemon here."
    ),
    Verb("start", start, "Detached; returns when it answers.", summary="Start the daemon."),
    Verb(
        "stop",
        stop,
        "Services go on running; the next daemon takes them back.",
        options=(Option(("--services",), "Stop all services first."),),
        summary="Stop the daemon.",
    ),
    Verb("status", status, "Starts nothing. Exit code 5 when no daemon answers.", summary="Show the daemon."),
    Verb(
        "logs",
        logs,
        "Of a local daemon that does not run as well.",
        options=(
            Option(("-f", "--follow"), "Go on with what it writes."),
            Option(("-n", "--tail"), "The last N lines, or all.", "text", default="100", metavar="N|all"),
        ),
        summary="Show the daemon's own log.",
    ),
    Verb(
        "backup",
        backup,
        "A verified copy of the registry: definitions, states, tasks that are done, the journal. Works while it runs.",
        arguments=(Argument("file", "Where to write it; must not exist.", required=True, complete="file"),),
        summary="Write the registry to a file.",
    ),
    Verb(
        "restore",
        restore,
        "The daemon must not run. Services that do are found again by their marks.",
        arguments=(Argument("file", "What `harness daemon backup` wrote.", required=True, complete="file"),),
        summary="Put a backup in the registry's place.",
    ),
    Verb(
        "install",
        install,
        "Then the daemon starts with the session, and is started again should it fail.",
        options=(Option(("--print",), "Only print the unit.", parameter="show_only"),),
        summary="Write a systemd user unit.",
    ),
)
