from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness_core.domain.probes import Check


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"http": "/x"}, {"http": {"path": "/x"}}),
        ({"tcp": True}, {"tcp": {}}),
        ({"tcp": 80}, {"tcp": {"port": 80}}),
        ({"tcp": "web"}, {"tcp": {"port": "web"}}),
        ({"command": "true"}, {"command": {"run": "true"}}),
        ({"command": ["test", "-e", "x"]}, {"command": {"run": ["test", "-e", "x"]}}),
        ({"log": "ready"}, {"log": {"pattern": "ready"}}),
        ({"file": "beat"}, {"file": {"path": "beat"}}),
        (
            {"any": [{"tcp": 1}, {"all": [{"file": "x"}]}]},
            {"any": [{"tcp": {"port": 1}}, {"all": [{"file": {"path": "x"}}]}]},
        ),
    ],
)
def test_short_forms(written: Any, meant: Any) -> None:
    check = Check.model_validate(written)
    assert check == Check.model_validate(meant)
    assert Check.model_validate_json(check.model_dump_json()) == check


@pytest.mark.parametrize(("written", "count"), [({}, "none"), ({"tcp": 1, "http": "/"}, "http and tcp")])
def test_a_check_has_exactly_one_kind(written: Any, count: str) -> None:
    with pytest.raises(ValidationError, match=f"found {count}"):
        Check.model_validate(written)


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{99999999999999999999}", "(" * 5000, "x" * 1001])
def test_a_pattern_must_compile(pattern: str) -> None:
    with pytest.raises(ValidationError, match="regular expression"):
        Check.model_validate({"log": pattern})


@pytest.mark.parametrize("pattern", ["ready", "[[a]", r"\d+ ${self.port}(", "(?i)x"])
def test_other_patterns_are_taken(pattern: str) -> None:
    assert Check.model_validate({"log": pattern})


@pytest.mark.parametrize(
    "written", [{"tcp": []}, {"http": 5}, {"command": []}, {"command": 5}, {"log": 5}, {"file": 5}, {"any": []}]
)
def test_other_shapes_are_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        Check.model_validate(written)
