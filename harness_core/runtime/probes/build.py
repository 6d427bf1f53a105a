"""From what a stack file says about a check to the probe that does it."""

from __future__ import annotations

from harness_core.domain.spec import Probe
from harness_core.runtime.logs.store import LogStore
from harness_core.runtime.probes.base import Bounded, CannotCheck, Outcome, ProbeContext, Probing
from harness_core.runtime.probes.command import CommandProbe
from harness_core.runtime.probes.composite import AllProbe, AnyProbe
from harness_core.runtime.probes.file import FileProbe
from harness_core.runtime.probes.http import HttpProbe
from harness_core.runtime.probes.log import LogProbe
from harness_core.runtime.probes.tcp import TcpProbe

__all__ = ["build"]


class _Impossible:
    """Stands for a check that makes no sense for its service, and says so whenever it is asked."""

    reads_output = False

    def __init__(self, sentence: str) -> None:
        self.subject = sentence

    async def look(self) -> Outcome:
        return Outcome(False, self.subject)


def build(probe: Probe, timeout: float, key: str, epoch: int, context: ProbeContext, logs: LogStore) -> Probing:
    """The probe of one life of a unit. Every part of it ends within ``timeout`` seconds; it never raises."""
    try:
        if probe.all is not None:
            return AllProbe([build(part, timeout, key, epoch, context, logs) for part in probe.all])
        if probe.any is not None:
            return AnyProbe([build(part, timeout, key, epoch, context, logs) for part in probe.any])
        return Bounded(_leaf(probe, key, epoch, context, logs), timeout)
    except CannotCheck as error:
        return _Impossible(str(error))


def _leaf(probe: Probe, key: str, epoch: int, context: ProbeContext, logs: LogStore) -> Probing:
    if probe.http is not None:
        return HttpProbe(probe.http, context, logs.matcher)
    if probe.tcp is not None:
        return TcpProbe(probe.tcp, context)
    if probe.command is not None:
        return CommandProbe(probe.command, context)
    if probe.log is not None:
        return LogProbe(probe.log, key, epoch, logs)
    assert probe.file is not None, "the model lets exactly one kind through"
    return FileProbe(probe.file, context)
