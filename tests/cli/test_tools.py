"""init, doctor, completion and the systemd unit: what touches this machine rather than a daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from executors.process.options import ProcessOptions
from harness.cli.templates import TEMPLATES
from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from tests.cli import rows
from tests.cli.conftest import MakeDaemon
from tests.cli.kit import line

ROOT = Path(__file__).resolve().parents[2]


# ── init ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_valid_without_a_warning(capfd: Any, template: str) -> None:
    assert line(capfd, "init", template, "--name", "first").code == 0
    text = Path("harness.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=")
    source = StackSource(text=text, filename="harness.yaml", base_dir=os.getcwd(), env={"PATH": "/bin"})
    loaded = load_stack(source, {"process": ProcessOptions}, read=lambda path: b"", strict=True)
    assert loaded.diagnostics == []
    assert loaded.stack is not None


def test_init_never_touches_what_is_there(capfd: Any) -> None:
    Path("harness.yaml").write_text("mine")
    ran = line(capfd, "init")
    assert (ran.code, Path("harness.yaml").read_text()) == (6, "mine")
    assert "--file" in ran.err
    Path("link.yaml").symlink_to("nowhere")
    assert line(capfd, "init", "--file", "link.yaml").code == 6
    assert not Path("nowhere").exists()
    assert line(capfd, "init", "--file", "no/such/directory.yaml").code == 3


def test_init_names_the_stack_after_the_directory(capfd: Any) -> None:
    Path("My Shop!").mkdir()
    os.chdir("My Shop!")
    assert line(capfd, "init", "-o", "name").out == "harness.yaml\n"
    assert "\nname: my-shop\n" in Path("harness.yaml").read_text()


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def found(ran: Any) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["status"], check["detail"]) for check in ran.json["checks"]}


def test_doctor_without_a_daemon_starts_none(capfd: Any, tmp_path: Path) -> None:
    ran = line(capfd, "doctor", "-o", "json")
    checks = found(ran)
    assert ran.code == 0
    assert checks["python"][0] == checks["plugins"][0] == checks["state directory"][0] == "ok"
    assert checks["daemon"][0] == "warning"
    assert "port" in checks
    assert "looked at by the daemon" in checks["containers"][1]
    assert not (tmp_path / "state").exists()


STATUS = {
    "pid": 1,
    "url": "https://127.0.0.1:1",
    "version": "0",
    "problems": ["the keeper was lost"],
    "certificate_expires": 1.0,
}


def test_doctor_finds_what_is_wrong_on_both_sides(daemon: MakeDaemon, capfd: Any, tmp_path: Path) -> None:
    theirs = {"name": "disk", "status": "problem", "detail": "full", "hint": "free some"}
    daemon(daemon__status=STATUS, status=rows.status(), doctor={"checks": [theirs]})
    (tmp_path / "state" / "token").chmod(0o644)
    (tmp_path / "state" / "client-error.log").write_text("")
    ran = line(capfd, "doctor", "-o", "json")
    assert ran.code == 1
    checks = found(ran)
    assert checks["state directory"][0] == "problem"
    assert checks["certificate"][0] == "problem"
    assert checks["clock"][0] == "warning"
    assert checks["disk"] == ("problem", "full")
    assert checks["leftovers"][0] == "warning"
    assert "the keeper was lost" in [check["detail"] for check in ran.json["checks"]]
    assert "chmod go-rwx" in line(capfd, "doctor").out


def test_doctor_knows_a_healthy_daemon(daemon: MakeDaemon, capfd: Any) -> None:
    now = time.time()
    healthy = {**STATUS, "problems": [], "certificate_expires": now + 80 * 86400}

    async def status(request: Any) -> Any:
        return {**rows.status(), "at": time.time()}

    daemon(daemon__status=healthy, status=status, doctor={"checks": []})
    checks = found(line(capfd, "doctor", "-o", "json"))
    assert {checks[name][0] for name in ("daemon", "certificate", "clock", "state directory")} == {"ok"}


def test_doctor_sees_a_daemon_that_was_killed(capfd: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "daemon.json").write_text('{"pid": 999999999, "url": "https://127.0.0.1:1"}')
    (state / "daemon.json").chmod(0o600)
    checks = found(line(capfd, "doctor", "-o", "json"))
    assert checks["leftovers"][0] == "warning"


# ── completion ───────────────────────────────────────────────────────────────────────────────────────────────────────


def completed(words: str, **environ: str) -> list[str]:
    """What the program answers to the shell's question about the last word of a line."""
    before = words.split()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": words, **environ}
    env["COMP_CWORD"] = str(len(before) - (not words.endswith(" ")))
    done = subprocess.run(
        [sys.executable, "-m", "harness"], capture_output=True, text=True, env=env, timeout=30, check=True
    )
    assert done.stderr == ""
    return [text.partition(",")[2] for text in done.stdout.splitlines() if text]


def test_names_come_from_the_living_daemon(daemon: MakeDaemon) -> None:
    both = [rows.row("db"), rows.row("api"), rows.row("api", stack="blog"), rows.row("seed", "done", kind="task")]
    daemon(status=rows.status(both, [rows.stack(), rows.stack("blog")]))
    assert completed("harness stop ") == ["db", "shop/api", "blog/api", "seed"]
    assert completed("harness logs shop/a") == ["shop/api"]
    assert completed("harness run ") == ["seed"]
    assert completed("harness status --stack ") == ["shop", "blog"]


def test_completion_without_a_daemon_is_empty_and_silent() -> None:
    assert completed("harness stop ") == []


def test_a_daemon_that_does_not_answer_does_not_hold_up_the_shell(daemon: MakeDaemon) -> None:
    import asyncio

    async def slow(request: Any) -> Any:
        await asyncio.sleep(30)

    daemon(status=slow)
    began = time.monotonic()
    assert completed("harness stop ") == []
    assert time.monotonic() - began < 3.0


def test_commands_aliases_options_and_topics_are_completed() -> None:
    assert completed("harness st") == ["start", "stop", "status"]
    assert completed("harness u") == ["up"]
    assert completed("harness status --foll") == ["--follow"]
    assert completed("harness help exi") == ["exit-codes"]
    assert "wide" in completed("harness -o ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell(capfd: Any, shell: str) -> None:
    printed = line(capfd, "completion", shell).out
    assert "_HARNESS_COMPLETE" in printed
    assert line(capfd, "completion", "show", shell).out == printed
    assert line(capfd, "completion", "install", shell).code == 0
    first = {path: path.read_text() for path in Path.home().rglob("*") if path.is_file()}
    assert printed in first.values()
    assert line(capfd, "completion", "install", shell).code == 0
    assert {path: path.read_text() for path in first} == first


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_the_script(capfd: Any) -> None:
    script = line(capfd, "completion", "bash").out
    done = subprocess.run(["bash", "-c", f"{script}\ncomplete -p harness"], capture_output=True, text=True, timeout=30)
    assert "_harness_completion harness" in done.stdout, done.stderr


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_unit_leaves_services_alone(capfd: Any, tmp_path: Path) -> None:
    ran = line(capfd, "daemon", "install")
    assert ran.code == 0
    assert "systemctl --user daemon-reload" in ran.err
    text = (tmp_path / "xdg" / "systemd" / "user" / "harness.service").read_text()
    assert "KillMode=process" in text
    assert f"ExecStart={sys.executable} -m harness daemon run" in text
    assert f"Environment=HARNESS_STATE_DIR={tmp_path}/state" in text
    assert line(capfd, "daemon", "install", "--print").out == text
    assert line(capfd, "daemon", "install").code == 0


def test_somebody_elses_unit_is_not_replaced_unasked(capfd: Any, tmp_path: Path) -> None:
    path = tmp_path / "xdg" / "systemd" / "user" / "harness.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Unit]\n")
    assert line(capfd, "daemon", "install").code == 2
    assert path.read_text() == "[Unit]\n"
    assert line(capfd, "daemon", "install", "-y").code == 0
    assert "KillMode" in path.read_text()
