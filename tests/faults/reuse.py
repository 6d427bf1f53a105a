"""The number of a service that has ended is given to a stranger, and daemons are raised over it.

    unshare --pid --fork --mount-proc python -m tests.faults.reuse FOLDER daemon|both

To be run as the first process of a namespace of process numbers, where nobody else takes the number meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.lab import Lab, until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def tell(lab: Lab, who_dies: str) -> None:
    lab.stack("services: {s: {target: {type: process, shell: '{actor} s'}, restart: no}}")
    lab.boot()
    lab.start()
    pid = lab.row("s")["pid"]
    lab.kill()
    if who_dies == "both":
        lab.kill_keeper()
    os.kill(pid, 9)
    if who_dies == "both":
        os.waitpid(pid, 0)  # orphans come to us
    until(lambda: not Path(f"/proc/{pid}").exists(), "it to be gone")
    LAST_PID.write_text(str(pid - 1))
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:  # leads a session as services do
        try:
            assert stranger.pid == pid
            lab.boot()
            row = lab.settled()["s"]
            assert row["phase"] == "failed"
            assert row["pid"] is None
            lab.stop(force=True)
            lab.start("s")
            assert lab.row("s")["pid"] != pid
            lab.stop(force=True)
            assert stranger.poll() is None, "a stranger was ended"
        finally:
            stranger.kill()


if __name__ == "__main__":
    one = Lab(Path(sys.argv[1]))
    try:
        tell(one, sys.argv[2])
    finally:
        one.close()
