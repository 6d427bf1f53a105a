"""What ``harness doctor`` looks at on this side. Nothing is changed, nothing is started."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
import time
from typing import TYPE_CHECKING

from harness.cli import chosen
from harness.cli.render.units import duration
from harness.cli.session import Cli
from harness_core.client import locate
from harness_core.domain.errors import HarnessError

if TYPE_CHECKING:
    from harness_core.domain.protocol import CheckRow

__all__ = ["client_checks"]

_OLDEST_PYTHON = (3, 11)
_DEFAULT_PORT = 9443
_SOON = 14 * 86400.0
_MOST_SKEW = 5.0
_GROUP = "harness.executors"


def client_checks(cli: Cli) -> list[CheckRow]:
    """All checks of the client's side, in the order in which a person would look."""
    checks = [_python(), _path(), _plugins()]
    if not chosen.is_local(cli.settings.context):
        return [*checks, *_daemon(cli)]
    directory = locate.state_dir()
    return [*checks, *_state_directory(directory), *_leftovers(directory), *_daemon(cli)]


def _row(name: str, status: str, detail: str, hint: str = "") -> CheckRow:
    return {"name": name, "status": status, "detail": detail, "hint": hint}


def _python() -> CheckRow:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return _row("python", "problem", f"{version} at {sys.executable}", "harness needs Python 3.11 or newer")
    return _row("python", "ok", f"{version} at {sys.executable}")


def _path() -> CheckRow:
    found = shutil.which("harness")
    if found is None:
        return _row(
            "PATH", "warning", "harness is not on it", f"add {os.path.dirname(sys.executable)}, or: python -m harness"
        )
    return _row("PATH", "ok", found)


def _plugins() -> CheckRow:
    """Whether each executor's module can be found; whether it works only the daemon can tell, which loads it."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    found: list[str] = []
    missing: list[str] = []
    for entry in entry_points(group=_GROUP):
        try:
            known = find_spec(entry.module.partition(".")[0]) is not None
        except (ImportError, ValueError):
            known = False
        (found if known else missing).append(entry.name)
    if missing:
        return _row("plugins", "problem", f"cannot find {', '.join(sorted(missing))}", "install them again")
    if not found:
        return _row("plugins", "problem", "no executor is installed", "is service-harness installed, or only copied?")
    return _row("plugins", "ok", ", ".join(sorted(set(found))))


def _state_directory(directory: str) -> list[CheckRow]:
    name = "state directory"
    try:
        found = os.stat(directory)
    except FileNotFoundError:
        return [_row(name, "ok", f"{directory} is made when something is started")]
    except OSError as error:
        return [_row(name, "problem", f"{directory}: {error.strerror}", "it must belong to you")]
    if found.st_uid != os.getuid():
        return [_row(name, "problem", f"{directory} belongs to another user", "set HARNESS_STATE_DIR")]
    open_to_others = [
        path
        for path in (directory, *(os.path.join(directory, inner) for inner in ("token", "tls", "daemon.json")))
        if _mode(path) & 0o077
    ]
    if open_to_others:
        paths = " ".join(open_to_others)
        return [_row(name, "problem", f"others may read {', '.join(open_to_others)}", f"chmod go-rwx {paths}")]
    if not os.access(directory, os.W_OK):
        return [_row(name, "problem", f"{directory} cannot be written", "free space, or remount it writable")]
    return [_row(name, "ok", f"{directory}, for you alone")]


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.lstat(path).st_mode)
    except OSError:
        return 0


def _leftovers(directory: str) -> list[CheckRow]:
    """What a daemon that was killed leaves behind; harmless, but it explains things."""
    from harness_core.client.daemon import running_pid

    checks = []
    if locate.daemon_file(directory) is not None and running_pid(directory) is None:
        detail = "the last daemon ended without tidying up; services go on"
        checks.append(_row("leftovers", "warning", detail, "any command that needs it starts it again: harness status"))
    report = os.path.join(directory, "client-error.log")
    if os.path.exists(report):
        checks.append(_row("leftovers", "warning", f"a command failed unexpectedly: {report}", "report and remove it"))
    return checks


def _daemon(cli: Cli) -> list[CheckRow]:
    asked = time.time()
    try:
        status = cli.call("daemon.status", {}, recover=False)
        told = float(cli.call("status", cli.select, recover=False)["at"])
    except HarnessError as error:
        quiet = error.code == "daemon-unreachable" and chosen.is_local(cli.settings.context)
        checks = [_row("daemon", "warning" if quiet else "problem", error.message, error.hint)]
        return [*checks, _port(), _executors()] if quiet else checks
    answered = time.time()
    detail = f"pid {status['pid']}, version {status['version']}, {status['url']}"
    checks = [_row("daemon", "ok", detail)]
    checks += [_row("daemon", "problem", problem) for problem in status["problems"]]
    expires = status["certificate_expires"]
    if expires is not None:
        checks.append(_certificate(expires - answered))
    skew = max(asked - told, told - answered, 0.0)
    if skew > _MOST_SKEW:
        checks.append(_row("clock", "warning", f"{duration(skew)} apart from the daemon's", "set both clocks by NTP"))
    else:
        checks.append(_row("clock", "ok", "agrees with the daemon's"))
    return checks


def _certificate(left: float) -> CheckRow:
    if left <= 0:
        return _row("certificate", "problem", f"expired {duration(-left)} ago", "harness cert rotate")
    if left < _SOON:
        return _row("certificate", "warning", f"expires in {duration(left)}", "harness cert rotate")
    return _row("certificate", "ok", f"good for {duration(left)}")


def _executors() -> CheckRow:
    """The daemon loads the executors, and is the one that uses an engine: what they need only it can look at."""
    detail = "the Docker engine and the compose tool are looked at by the daemon, and none runs"
    return _row("containers", "warning", detail, "harness daemon start, and then harness doctor")


def _port() -> CheckRow:
    """Whether the port that a new daemon would take first is free; it finds another one otherwise."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _DEFAULT_PORT))
        except OSError as error:
            return _row("port", "warning", f"{_DEFAULT_PORT}: {error.strerror}", "the daemon will take another port")
    return _row("port", "ok", f"{_DEFAULT_PORT} is free")
