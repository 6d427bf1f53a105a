"""What is kept of an attachment, and what is made of a damaged record."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from executors.process_attach.handle import KIND, AttachHandle, Memory, Record
from harness_core.domain.executor import Marker
from harness_core.domain.states import Endpoint, Exit, Handle
from harness_core.runtime.processes import ProcessIdentity

HANDLE = AttachHandle(ProcessIdentity(7, 8, "boot", 9), {"80": ["127.0.0.1", 80, "http"]}, {"stdout": "/x"}, {})


def test_a_handle_is_json_there_and_back() -> None:
    stored = Handle(KIND, json.loads(json.dumps(HANDLE.to_data())))
    assert AttachHandle.of(stored) == HANDLE
    assert HANDLE.to_started().endpoints == {"80": Endpoint("127.0.0.1", 80)}


@pytest.mark.parametrize(
    "handle", [Handle("process", {}), Handle(KIND, {}, 2), Handle(KIND, {}), Handle(KIND, {"identity": 7})]
)
def test_a_handle_that_is_none_of_ours(handle: Handle) -> None:
    with pytest.raises(ValueError, match=r"a handle of|a damaged handle"):
        AttachHandle.of(handle)


def test_a_record_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state")
    assert memory.read("shop/a") is None
    memory.write("shop/a", Record(3, HANDLE))
    memory.write("shop/b", Record(1, HANDLE))
    assert memory.read("shop/a") == Record(3, HANDLE)
    memory.ended(Marker("shop", "a", 2), Exit(code=1))
    assert memory.read("shop/a") == Record(3, HANDLE), "the end of another life"
    memory.ended(Marker("shop", "a", 3), Exit(code=1))
    memory.ended(Marker("shop", "c", 3), Exit(code=1))
    assert memory.read("shop/a") == Record(3, HANDLE, Exit(code=1))
    memory.forget("shop/a")
    memory.forget("shop/a")
    assert (memory.read("shop/a"), memory.read("shop/b")) == (None, Record(1, HANDLE))
    memory.forget("shop/b")
    assert not os.listdir(tmp_path / "state")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"epoch": 1, "handle": {}, "exit": null}'])
def test_a_damaged_record_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop" / "a").mkdir(parents=True)
    (tmp_path / "shop" / "a" / "attached.json").write_text(text)
    assert Memory(tmp_path).read("shop/a") is None
