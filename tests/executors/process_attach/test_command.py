"""From options to what is looked for and read, without any process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from executors.process_attach.command import log_files_of, search_of
from executors.process_attach.options import ProcessAttachOptions

BASE = Path("/stack")


@pytest.mark.parametrize(
    ("given", "search"),
    [
        ({"pid": 7}, {"pid": 7}),
        ({"port": 80}, {"port": 80}),
        ({"match": "redis-server *:6379"}, {"match": "redis-server *:6379"}),
        ({"pid_file": "run/x.pid"}, {"pid_file": Path("/stack/run/x.pid")}),
        ({"pid_file": "/run/x.pid"}, {"pid_file": Path("/run/x.pid")}),
        ({"pid_file": "~/x.pid"}, {"pid_file": Path("/home/u/x.pid")}),
    ],
)
def test_what_is_looked_for(given: dict[str, Any], search: dict[str, Any]) -> None:
    assert search_of(ProcessAttachOptions(**given), BASE, "/home/u") == search


def test_what_is_read() -> None:
    assert log_files_of(ProcessAttachOptions(pid=7), BASE, "") == {}
    assert log_files_of(ProcessAttachOptions(pid=7, log_file="a.log"), BASE, "") == {"stdout": Path("/stack/a.log")}
    both = ProcessAttachOptions.model_validate({"pid": 7, "log_files": {"stdout": "a", "stderr": "../b"}})
    assert log_files_of(both, BASE, "") == {"stdout": Path("/stack/a"), "stderr": Path("/b")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one of pid, pid_file, port and match"),
        ({"pid": 7, "port": 80}, "exactly one of"),
        ({"pid": 7, "log_file": "a", "log_files": {"stderr": "b"}}, "write one of them"),
        ({"pid": 7, "log_files": {"stdin": "b"}}, "stdout"),
        ({"pid": 0}, "greater than"),
        ({"port": 70000}, "less than"),
        ({"match": ""}, "at least 1"),
        ({"pid": 7, "binary": "x"}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ProcessAttachOptions.model_validate(given)
