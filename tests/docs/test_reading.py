"""The reader of documents itself: a test that cannot fail proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .documents import Block, blocks, commands, completed, explain_mismatch

HERE = Path("x.md")


def test_blocks_know_their_place_and_their_marker(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text("a\n<!-- file: s.yaml -->\n```yaml\nname: a\n```\n\ntext\n```sh\nls\n```\n")
    first, second = blocks(document)
    assert (first.line, first.language, first.file, first.text) == (3, "yaml", "s.yaml", "name: a\n")
    assert (second.file, second.not_run) == ("", "")


def test_a_marker_does_not_reach_past_other_text(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text("<!-- not run: it needs a graphics card -->\nSomething else.\n```sh\nls\n```\n")
    (block,) = blocks(document)
    assert block.not_run == ""


def test_an_open_fence_is_an_error(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text("```sh\nls\n")
    with pytest.raises(ValueError, match="not closed"):
        list(blocks(document))


def test_commands_with_output_exit_code_and_continuation() -> None:
    block = Block(HERE, 1, "console", "$ a \\\n> b\none\n\n$ c   # exit code 3\n")
    first, second = commands(block)
    assert (first.line, first.expected, first.code) == ("a \\\nb", ["one"], 0)
    assert (second.line, second.expected, second.code) == ("c", None, 3)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a b"], "a    b\n", True),
        (["a ... d"], "a b c d\n", True),
        (["a ... d"], "a    d\n", True),
        (["a", "...", "z"], "a\nb\nc\nz\n", True),
        (["a", "...", "z"], "a\nz\n", True),
        (["a", "..."], "a\n", True),
        (["a"], "a\nb\n", False),
        (["a", "z"], "a\n", False),
        (["1.5"], "1x5\n", False),
        ([], "", True),
    ],
)
def test_output_is_compared_with_wildcards(expected: list[str], printed: str, same: bool) -> None:
    assert (explain_mismatch(expected, printed) == "") is same


def test_a_mismatch_names_the_line() -> None:
    assert explain_mismatch(["a", "b", "c"], "a\nx\nc\n") == "nothing matches 'b'"


def test_parts_are_completed_to_a_whole_file() -> None:
    part = Block(HERE, 1, "yaml", "health_check:\n  tcp: 80\n", part="service")
    assert completed(part).endswith("    health_check:\n      tcp: 80\n")
    whole = Block(HERE, 1, "yaml", "target: {type: process, binary: ls}\n", part="service")
    assert completed(whole).count("target:") == 1
