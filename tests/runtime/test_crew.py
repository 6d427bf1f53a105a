from __future__ import annotations

import subprocess
import sys
import threading

from harness_core.runtime.crew import Crew
from tests.faults.lab import ROOT


def test_all_are_there_and_nobody_comes_later() -> None:
    with Crew(5, "crew") as crew:
        crew.muster()
        there = {thread for thread in threading.enumerate() if thread.name.startswith("crew")}
        assert len(there) == 5
        workers = {crew.submit(threading.current_thread).result() for _ in range(50)}
        assert workers <= there
        assert {thread for thread in threading.enumerate() if thread.name.startswith("crew")} == there


def test_too_few_are_told() -> None:
    program = (
        "import errno, resource\n"
        "from harness_core.runtime.crew import Crew\n"
        "resource.setrlimit(resource.RLIMIT_AS, (200 << 20, -1))\n"
        "crew = Crew(500, 'crew')\n"
        "try: crew.muster()\n"
        "except BlockingIOError as error: print(error.errno == errno.EAGAIN, error.strerror)\n"
        "crew.shutdown()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ran.stdout == "True the system does not give the 500 threads needed\n", ran.stderr
