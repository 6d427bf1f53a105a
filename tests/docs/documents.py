"""Reading the project's documents: their fenced blocks, and what is to be done with each.

    ```yaml       a stack file: validated. After ``<!-- file: NAME -->`` it is also written under that name.
                  After ``<!-- part: stack|services|service|task -->`` it is that part of one, and completed first.
    ```console    commands after ``$ `` and what they print: run, and compared
    ```sh         commands, a line each: run
    any other     looked at by people only

A block after ``<!-- not run: REASON -->`` is left alone. What a command prints is compared line by line with runs of
blanks taken as one; ``...`` alone on a line stands for any number of lines, within a line for any text. A command whose
line ends in ``# exit code N`` must end with that code, every other one with 0.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Command", "blocks", "commands", "completed", "explain_mismatch"]

_MARKER = re.compile(r"<!--\s*(not run|file|part):\s*(.+?)\s*-->")
_FENCE = re.compile(r"( *)```(\w*)\s*$")
_EXIT = re.compile(r"\s+# exit code (\d+)\s*$")

#: what is put around a part of a stack file to make it a whole one, and how far the part is indented then
_AROUND = {
    "stack": ("name: example\n", 0),
    "services": ("name: example\nservices:\n", 2),
    "service": ("name: example\nservices:\n  example:\n", 4),
    "task": ("name: example\ntasks:\n  example:\n", 4),
}
_ANY_TARGET = "target: {type: process, binary: cat}\n"


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is where its fence stands, counted from 1."""

    document: Path
    line: int
    language: str
    text: str
    file: str = ""
    part: str = ""
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


@dataclass(frozen=True)
class Command:
    line: str
    expected: list[str] | None
    """What it prints; ``None`` where the document does not say."""
    code: int = 0


def blocks(document: Path) -> Iterator[Block]:
    """Every fenced block of a document, in order. Raises ``ValueError`` for a fence that is not closed."""
    marker: tuple[str, str] | None = None
    lines = enumerate(document.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if found := _MARKER.search(line):
            marker = found[1], found[2]
        elif fence := _FENCE.match(line):
            indent, held = fence[1], []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                held.append(inner.removeprefix(indent))
            else:
                raise ValueError(f"{document.name}:{number}: this fence is not closed")
            said = {marker[0].replace(" ", "_"): marker[1]} if marker else {}
            yield Block(document, number, fence[2], "\n".join(held) + "\n", **said)
            marker = None
        elif line.strip():
            marker = None


def completed(block: Block) -> str:
    """The whole stack file that a block is, or is a part of."""
    if not block.part:
        return block.text
    before, indent = _AROUND[block.part]
    text = block.text
    if block.part in ("service", "task") and not re.search(r"(?m)^target:", text):
        text = _ANY_TARGET + text
    return before + textwrap.indent(text, " " * indent)


def commands(block: Block) -> list[Command]:
    """What is to be run, in order. In a console block, lines before the first ``$ `` are an error."""
    if block.language == "sh":
        lines = [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
        return [_command(line, None) for line in lines]
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and line.startswith("> "):
            found[-1] = (found[-1][0] + "\n" + line[2:], [])
        elif found:
            found[-1][1].append(line)
        else:
            raise ValueError(f"{block}: output before the first command")
    return [_command(line, _without_blank_end(output) or None) for line, output in found]


def _command(line: str, expected: list[str] | None) -> Command:
    code = _EXIT.search(line)
    return Command(_EXIT.sub("", line), expected, int(code[1]) if code else 0)


def _without_blank_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def explain_mismatch(expected: list[str], printed: str) -> str:
    """Empty when ``printed`` is what the document says, else the sentence that tells where they part."""
    pattern = "".join(_pattern(line) for line in expected)
    actual = "".join(" ".join(line.split()) + "\n" for line in printed.splitlines())
    if re.fullmatch(pattern, actual):
        return ""
    for count in range(len(expected) - 1, -1, -1):
        if re.match("".join(_pattern(line) for line in expected[:count]), actual):
            break
    return f"nothing matches {expected[count]!r}" if expected else "it should print nothing"


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:[^\n]*\n)*?"
    words = " ".join(line.split())
    return "[^\n]*?".join(re.escape(piece) for piece in re.split(r" ?\.\.\. ?", words)) + r"\n"
