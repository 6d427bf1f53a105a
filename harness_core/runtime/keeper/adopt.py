"""Taking back the instances of a keeper that died: they went on without it, or ended and nobody was told."""

from __future__ import annotations

import os

from .children import Instance
from .procfs import MARKER, Stat, boot_id, environment_value, open_pidfd, read_stat
from .records import Record

__all__ = ["adopt", "find_leader"]


def adopt(record: Record) -> Instance | None:
    """The instance that a record tells of, living or ended; ``None`` when it never began.

    An end that nobody saw is recorded with neither code nor signal. A pidfd is held from here on, so that the end
    of a living one is seen although it is not our child.
    """
    if "exit" in record.facts:
        return Instance(record)
    if "pid" not in record.facts:
        leader = find_leader(str(record.facts["marker"]))
        if leader is None:
            record.delete()
            return None
        record.add({"pid": leader.pid, "start": leader.start})
    pidfd = None
    if record.facts["boot_id"] == boot_id():
        pidfd = open_pidfd(int(record.facts["pid"]), int(record.facts["start"]))
    instance = Instance(record, pidfd=-1 if pidfd is None else pidfd)
    if pidfd is None and instance.hands_over and record.facts["boot_id"] == boot_id():
        instance.fork()
    elif pidfd is None:
        instance.end(None)
    return instance


def find_leader(marker: str) -> Stat | None:
    """The main process of the instance that carries this marker: the leader of its own session."""
    for name in os.listdir("/proc"):
        if name.isdigit() and environment_value(int(name), MARKER) == marker:
            stat = read_stat(int(name))
            if stat is not None and stat.session == stat.pid and not stat.dead:
                return stat
    return None
