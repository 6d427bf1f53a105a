"""Only what is proven ours is touched: not a process that has its number, not one of another boot, not a copy's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness_core.domain.errors import DaemonUnreachable
from tests.faults.lab import ROOT, Lab, alive, until

pytestmark = pytest.mark.e2e

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

ONE = "services: {s: {target: {type: process, shell: '{actor} s'}, restart: no}}"


@pytest.mark.skipif(os.geteuid() != 0, reason="a namespace of process numbers of its own needs root")
@pytest.mark.parametrize("who_dies", ["daemon", "both"])
def test_a_number_that_was_given_to_another_process(tmp_path: Path, who_dies: str) -> None:
    told = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.faults.reuse", str(tmp_path), who_dies],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root")
@pytest.mark.parametrize("autostart", [False, True])
def test_after_a_reboot_nothing_of_before_is_signalled_or_adopted(lab: Lab, autostart: bool) -> None:
    lab.stack(ONE, autostart=str(autostart).lower())
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    lab.kill()
    lab.kill_keeper()
    other = lab.root / "boot_id"
    other.write_text("00000000-1111-2222-3333-444444444444\n")
    lab.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {other} {BOOT_ID} && exec "$@"', "sh"]
    lab.boot()
    row = until(lambda: (r := lab.row("s"))["phase"] in ("stopped", "running") and r, "the daemon to make up its mind")
    assert row["phase"] == ("running" if autostart else "stopped")
    assert row["pid"] != pid
    lab.stop(force=True)
    assert alive(pid), "a process of another boot was signalled"
    lab.leave()
    until(lambda: not lab.living_keeper(), "the keeper that has nothing to keep to leave")


@pytest.mark.parametrize("original", ["runs", "daemon killed", "both killed"])
def test_a_copied_state_directory_takes_nothing_from_the_original(lab: Lab, tmp_path: Path, original: str) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s --every 0.01'}, restart: no}}")
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    until(lambda: lab.output("s"), "output")
    if original != "runs":
        lab.kill()
    if original == "both killed":
        lab.kill_keeper()
    (tmp_path / "second").mkdir()
    copy = Lab(tmp_path / "second")
    try:
        shutil.copytree(lab.state, copy.state, ignore=shutil.ignore_patterns("*.sock", "*.fifo"))
        with pytest.raises(DaemonUnreachable):  # not the original's, whose address was copied as well
            _ = copy.client
        copy.boot()
        row = copy.settled()["s"]
        assert row["pid"] is None
        assert row["phase"] == "stopped"
        copy.stop(force=True)
        copy.leave()
        assert alive(pid), "a process of the original was ended"
    finally:
        copy.close()
    if not lab.running:
        lab.boot()
    assert lab.settled()["s"]["pid"] == pid
    lab.stop()
    written = int((lab.folder / "s.1.count").read_text())
    assert len(lab.output("s").splitlines()) == written, "the copy drank from the original's output"
