"""A whole life of a stack, with daemon or keeper killed as it enters its n-th system call of a kind: for every n.

The kernel does not know where we have named a step. strace delivers SIGKILL on entering the call, so that it is not
done any more, and lets go of what is started from there; it counts for each thread and each call.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import LONG, Lab, alive
from tests.faults.life import Life
from tests.faults.tally import Tally

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace"),
]

BIRTH = "?clone,?clone3,?fork,?vfork"
RENAME = "/^rename"
REMOVE = "/^unlink"

#: who is killed, on entering what, and those n that are tried in every run; the long tier tries all of them
PLACES = {
    "daemon": {
        "pwrite64": (1, 60, 120),
        "fdatasync": (2, 12),
        "fsync": (5,),
        "write": (3,),
        "sendto": (10, 40),
        RENAME: (2,),
        REMOVE: (3,),
        BIRTH: (2,),
    },
    "keeper": {
        "pwrite64": (2, 7),
        "fallocate": (3,),
        "write": (4,),
        "splice": (1, 20),
        "sendto": (3, 9),
        REMOVE: (2,),
        BIRTH: (2,),
    },
}


class Hunted(Life):
    """A life whose first daemon, or first keeper, dies on entering its ``number``-th call of a kind."""

    def __init__(self, lab: Lab, who: str, calls: str, number: int) -> None:
        super().__init__(lab)
        self._who = who
        self._traced = lab.root / "traced"
        # "DDD": the tracer is nobody's parent; "b": what calls exec is let go
        strace = ["strace", "-DDD", "-f", "-b", "execve", "-qq", "-o", "/dev/null"]
        strace += ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={number}"]
        if who == "daemon":
            lab.tracer = strace
        else:
            lab.python = str(self._python(strace))

    def _python(self, strace: list[str]) -> Path:
        """What stands for Python: the first one that is started with it is traced."""
        script = self.lab.root / "python"
        words = " ".join(f"'{word}'" for word in [*strace, sys.executable])
        script.write_text(
            f"#!/bin/sh\nmkdir '{self._traced}' 2>/dev/null || exec '{sys.executable}' \"$@\"\n"
            f"echo $$ >'{self._traced}/pid'\nexec {words} \"$@\"\n"
        )
        script.chmod(0o755)
        return script

    @property
    def reached(self) -> bool:
        """Whether who was to die has died; to be asked when all is told, and nobody else was killed."""
        if self._who == "daemon":
            return self.lab.launched[0].poll() == -signal.SIGKILL
        return not alive(int((self._traced / "pid").read_text()))


@pytest.mark.timeout(7200 if LONG else 120)
@pytest.mark.parametrize(("who", "calls"), [(who, calls) for who, kinds in PLACES.items() for calls in kinds])
def test_killed_on_entering_this_call(tmp_path: Path, tally: Tally, who: str, calls: str) -> None:
    findings = {}
    for number in every() if LONG else PLACES[who][calls]:
        (root := tmp_path / str(number)).mkdir()
        lab = Lab(root)
        try:
            life = Hunted(lab, who, calls, number)
            life.tell(deaths=False)
            reached = life.reached
        except AssertionError as error:
            reached, findings[number] = True, str(error)
        finally:
            lab.close()
        if not reached:
            assert LONG, f"there is no {calls} number {number} any more"
            break
        tally.rounds += 1
        shutil.rmtree(root, ignore_errors=True)  # only to save room; something may be leaving just now
    assert findings == {}


def every() -> Iterator[int]:
    """The first forty, then fewer and fewer: of what comes hundreds of times the later ones are much alike."""
    number = 1
    while True:
        yield number
        number += 1 if number < 40 else number // 10
