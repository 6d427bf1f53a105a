"""Broken stack files and exactly what is said about them. ``HARNESS_UPDATE_GOLDEN=1`` writes the answers anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.domain.stackkit import load, show

CORPUS = Path(__file__).parents[1] / "golden" / "stacks"
ENV = {"PASSWORD": "Hunter2-very-Secret", "KIND": "proces", "HOME": "/home/me"}
FILES: dict[str, bytes | Exception] = {
    "/srv/shop/cycle.env": b"E_URL=${e.host}\n",
    "/srv/shop/bad.env": b"A=1\nsecret nonsense\n",
    "/srv/shop/refs.env": b"A=${UNSET}\nB=${broken\nC=${nobody.host}\nD=${self.port}\nE=${UNSET}${web.host}\n",
    "/srv/shop/denied.env": PermissionError(13, "Permission denied"),
    "/srv/shop/huge.env": b"#" * ((1 << 20) + 1),
    "/srv/shop/latin.env": b"A=\xe4\n",
    "/srv/shop/odd.env": ValueError("embedded null byte"),
}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_said_about(path: Path) -> None:
    loaded = load(path.read_bytes().decode(), env=ENV, files=FILES)
    said = show(loaded.diagnostics)
    expected = path.with_suffix(".txt")
    if os.environ.get("HARNESS_UPDATE_GOLDEN"):
        expected.write_text(said)
    assert said == expected.read_text()
    assert (loaded.stack is None) == any(d["severity"] == "error" for d in loaded.diagnostics)
    messages = [f"{d['message']} {d['label']} {d['notes']}" for d in loaded.diagnostics]
    assert not any("Hunter2" in message for message in messages)
