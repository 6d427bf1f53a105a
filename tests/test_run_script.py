"""``./run`` where something is missing: it says what, and what to do, and touches nothing that is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: a Python as Debian installs it: without venv's pip and without pip itself
BARE = f"""#!/bin/sh
case "$*" in *"import ensurepip"* | *"import pip"*) exit 1 ;; esac
exec {sys.executable} "$@"
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "run", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_python_that_is_new_enough(tmp_path: Path) -> None:
    done = run("status", PYTHON="/nonexistent/python3", HARNESS_VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "no Python of 3.11 or newer found" in done.stderr
    assert "PYTHON=" in done.stderr


def test_without_venv_and_pip_it_names_the_package(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dirname", "cksum", "cat", "ls", "tail", "sed", "sh", "flock"):
        found = next(Path(folder) / name for folder in os.environ["PATH"].split(":") if (Path(folder) / name).exists())
        (programs / name).symlink_to(found)
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    bare = tmp_path / "bare"
    bare.write_text(BARE)
    for program in (programs / "id", bare):
        program.chmod(0o755)
    done = run("status", PATH=str(programs), PYTHON=str(bare), HARNESS_VENV=str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "has neither venv nor pip" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    done = run("status", HARNESS_VENV=str(tmp_path))
    assert done.returncode == 1
    assert "not an environment" in done.stderr
    assert treasure.read_text() == "gold"


def test_without_an_index_the_reason_and_the_log_are_named(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    done = run("setup", HARNESS_VENV=str(venv), **nowhere)
    assert done.returncode == 1
    assert "is the package index reachable" in done.stderr
    assert f"{venv}/setup.log" in done.stderr
    assert not (venv / "ready-run").exists()


def test_setup_knows_two_kinds(tmp_path: Path) -> None:
    done = run("setup", "everything", HARNESS_VENV=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "usage: ./run setup [test]\n")
