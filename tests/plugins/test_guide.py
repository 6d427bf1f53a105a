"""The authors' guide shows what is really there: each of its blocks stands in the example, and its stack is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from harness_core.runtime.plugins import load_plugins
from tests.docs.documents import Block, blocks
from tests.plugins.installing import HERE, install

GUIDE = HERE.parents[1] / "docs" / "executors.md"
BLOCKS = list(blocks(GUIDE))
CODE = [block for block in BLOCKS if block.language in ("python", "toml")]


@pytest.mark.parametrize("block", CODE, ids=str)
def test_code_is_that_of_the_example(block: Block) -> None:
    assert block.file, "code of the guide names the file that it is from"
    assert block.text in (HERE / "good" / block.file).read_text(encoding="utf-8")


def test_each_of_the_five_files_is_shown() -> None:
    shown = {Path(block.file).name for block in CODE}
    assert {"plugin.py", "options.py", "command.py", "handle.py", "executor.py"} <= shown


def test_the_stack_of_the_guide_is_valid_once_the_package_is_installed(site: Path) -> None:
    install("good", site)
    options = {kind: plugin.options for kind, plugin in load_plugins().executors.items()}
    (block,) = [block for block in BLOCKS if block.language == "yaml"]
    source = StackSource(text=block.text, filename="guide.yaml", base_dir=str(HERE), env={})
    loaded = load_stack(source, options, read=lambda path: Path(path).read_bytes())
    assert [found["message"] for found in loaded.diagnostics] == []
