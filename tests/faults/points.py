"""Every fail point there is, found in the source; a name that a test does not know cannot appear unnoticed."""

from __future__ import annotations

import re

from tests.faults.lab import ROOT

__all__ = ["DISK", "DOCKER", "POINTS", "in_source"]

_CALL = re.compile(r'failpoint\((f?)"([^"]+)"\)')
_ENGINE = ("spawn", "watch", "stop", "recover", "startchecks", "stopchecks", "forget")
_STATE = ("daemon.json", "instance")
_PRIVATE = ("token", "tokens.json", "ca.key", "ca.pem", "leaf.key", "leaf.pem")

#: where a part of the name is filled in while running: what can stand there
FILLED = {
    "engine.act.{}": [f"engine.act.{effect}" for effect in _ENGINE],
    "state.{}.before": [f"state.{name}.before" for name in _STATE],
    "state.{}.after": [f"state.{name}.after" for name in _STATE],
    "private.{}.before": [f"private.{name}.before" for name in _PRIVATE],
    "private.{}.after": [f"private.{name}.after" for name in _PRIVATE],
}
#: points that no ordinary life passes: each is reached in a test of its own
RARE = {
    "keeper.record.delete",
    "process.adopt.before",
    "process.lead.before",
    "keeper.lead.before-record",
    "keeper.lead.after-record",
}


def in_source() -> list[str]:
    """The names as they stand in the code, with ``{}`` for what is filled in."""
    found = set()
    for folder in ("harness_core", "executors"):
        for path in (ROOT / folder).rglob("*.py"):
            for _, name in _CALL.findall(path.read_text(encoding="utf-8")):
                found.add(re.sub(r"\{[^}]*\}", "{}", name))
    return sorted(found)


def _all() -> list[str]:
    names: list[str] = []
    for name in in_source():
        names += FILLED[name] if "{}" in name else [name]
    return [name for name in names if name not in RARE and not name.startswith(("compose.", "docker."))]


POINTS = _all()
#: those that only the life of a container passes
DOCKER = [name for name in in_source() if name.startswith("docker.")]
#: where a disk can refuse
DISK = [
    name
    for name in POINTS
    if name.startswith(
        ("keeper.record.", "keeper.segment.", "keeper.bytes.", "state.", "private.", "audit.", "outputs.")
    )
    and not name.endswith((".after", ".retire", ".delete"))
]
