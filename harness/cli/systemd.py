"""A systemd user unit for the daemon."""

from __future__ import annotations

import os
import sys

from harness.cli.session import Cli
from harness_core.client import locate
from harness_core.domain.errors import InvalidConfiguration, OperationFailed

__all__ = ["install_unit", "unit_text"]

_MARK = "# written by harness daemon install"


def unit_text() -> str:
    """The unit's text for this interpreter and this state directory."""
    command = " ".join(_quote(word) for word in (sys.executable, "-m", "harness", "daemon", "run"))
    state = _quote(f"HARNESS_STATE_DIR={os.path.abspath(locate.state_dir())}")
    return f"""\
{_MARK}
[Unit]
Description=harness daemon
Documentation=man:systemd.service(5)

[Service]
Type=simple
ExecStart={command}
Environment={state}
# only the daemon is stopped: services and their keeper go on, and the next daemon takes them back
KillMode=process
Restart=on-failure
RestartSec=1

[Install]
WantedBy=default.target
"""


def install_unit(cli: Cli) -> str:
    """Write the unit and return its path. Asks before it replaces one that it did not write."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    path = os.path.join(config, "systemd", "user", "harness.service")
    try:
        if _is_foreign(path) and not cli.confirm(f"replace {path}?", refuse=f"cannot replace {path}: it is not ours"):
            raise OperationFailed(f"cannot install the unit: {path} stays as it is")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(unit_text())
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}", hint="print it with --print"
        ) from None
    return path


def _is_foreign(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return not file.readline().startswith(_MARK)
    except FileNotFoundError:
        return False


def _quote(word: str) -> str:
    """A word in systemd's syntax: ``%`` and ``$`` mean something there, in values as in commands."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or any(c.isspace() for c in word) else word
