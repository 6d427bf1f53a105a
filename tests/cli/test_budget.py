"""Start-up time is decided by imports: what the repeated verbs load, and what no verb loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import rows
from tests.cli.conftest import MakeDaemon

ROOT = Path(__file__).resolve().parents[2]

#: each of these costs more than all of ours
HEAVY = {
    *("asyncio", "click", "concurrent.futures", "cryptography", "dataclasses", "email", "http.client", "inspect"),
    *("logging", "pathlib", "pydantic", "rich", "subprocess", "typing_extensions", "urllib.request", "websockets"),
    *("yaml", "importlib.metadata", "datetime", "argparse", "shutil", "tempfile", "psutil", "platformdirs"),
}
#: nobody who only talks to a daemon needs its inside
INSIDE = ("harness_core.runtime", "harness_core.doors", "registry", "executors", "harness.daemon")


def loaded(*argv: str) -> tuple[int, set[str]]:
    """The exit code and the modules in memory after running one command line in a fresh interpreter."""
    program = (
        "import sys; sys.argv[:] = ['harness', *sys.argv[1:]]\n"
        "from harness.entry import main\n"
        "code = main()\n"
        "print('\\n@@', code, *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *argv], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    code, *modules = done.stdout.rpartition("@@")[2].split()
    return int(code), set(modules)


@pytest.mark.parametrize(
    "argv", [("status",), ("ps", "-o", "json"), ("logs", "-n", "5"), ("logs", "db", "--grep", "x")]
)
def test_repeated_verbs_take_the_standard_library_alone(argv: tuple[str, ...], daemon: MakeDaemon) -> None:
    line = {"service": "shop/db", "stream": "stdout", "at": rows.NOW, "epoch": 1, "text": "ready"}
    daemon(status=rows.status(), logs={"lines": [line], "gaps": []})
    code, modules = loaded(*argv)
    # a unit of the canned shop is unknown, which is never a success
    assert code == (1 if argv[0] != "logs" else 0)
    assert not modules & HEAVY


@pytest.mark.parametrize("argv", [("--help",), ("start", "--help"), ("status",), ("doctor",), ("completion", "bash")])
def test_no_verb_loads_the_daemons_inside(argv: tuple[str, ...]) -> None:
    _, modules = loaded(*argv)
    assert not [name for name in modules if name.startswith(INSIDE)]


def test_help_imports_no_verb() -> None:
    _, modules = loaded("--help")
    assert not [name for name in modules if name.startswith("harness.cli.verbs.")]
