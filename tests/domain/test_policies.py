from __future__ import annotations

import signal
from typing import Any

import pytest
from pydantic import ValidationError

from harness_core.domain.policies import (
    Condition,
    Dependency,
    PortSpec,
    RestartPolicy,
    RestartSpec,
    StopSpec,
    signal_number,
)


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("no", RestartPolicy.NO),
        ("never", RestartPolicy.NO),
        ("on-failure", RestartPolicy.ON_FAILURE),
        ("on_failure", RestartPolicy.ON_FAILURE),
        ("always", RestartPolicy.ALWAYS),
        ("unless-stopped", RestartPolicy.ALWAYS),
        ({"policy": False}, RestartPolicy.NO),
        ({"policy": "never", "burst": 0}, RestartPolicy.NO),
        ({}, RestartPolicy.ON_FAILURE),
    ],
)
def test_restart_policies_and_the_words_of_other_tools(written: Any, policy: RestartPolicy) -> None:
    assert RestartSpec.model_validate(written).policy is policy


@pytest.mark.parametrize("written", ["sometimes", {"policy": True}, {"policy": 5}, 5])
def test_other_policies_are_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        RestartSpec.model_validate(written)


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "term", " 15 ", "sigterm"])
def test_signals_by_name_and_number(name: str) -> None:
    assert signal_number(name) == signal.SIGTERM
    assert StopSpec(signal=name).signal == "TERM"


@pytest.mark.parametrize("name", ["TREM", "", "0", "999", "99999999999999", "-1", "²", "SIG"])
def test_what_is_no_signal(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are for the stack file's own error
        signal_number(name)
    with pytest.raises(ValidationError, match="is not a signal"):
        StopSpec(signal=name)


@pytest.mark.parametrize(("written", "port"), [(80, 80), ("80", 80), ("auto", "auto"), ({"port": 5}, 5), ({}, "auto")])
def test_ports(written: Any, port: object) -> None:
    assert PortSpec.model_validate(written).port == port


@pytest.mark.parametrize("written", [0, 65536, True, "http", {"scheme": "a b"}, [80]])
def test_other_ports_are_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        PortSpec.model_validate(written)


def test_dependencies() -> None:
    assert Dependency.model_validate("db") == Dependency(service="db")
    assert Dependency(task="t").name == "t"
    assert Dependency(service="s").name == "s"
    assert Dependency.model_validate({"service": "s", "condition": "process_healthy"}).condition is Condition.HEALTHY
    for wrong in ({}, {"service": "a", "task": "b"}):
        with pytest.raises(ValidationError, match="either a service or a task"):
            Dependency.model_validate(wrong)
