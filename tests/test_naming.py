"""Names made from whatever other things are called."""

from __future__ import annotations

from harness.naming import plain_name


def test_names_are_made_valid() -> None:
    assert [plain_name(text) for text in ("shop", "Öl & Gas", "...", "x" * 99)] == ["shop", "l-gas", "stack", "x" * 63]
    assert plain_name("", "unit") == "unit"
