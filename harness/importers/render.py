"""A draft as the text of a stack file, with its remarks as comments. What is written here is read back as it was."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from harness.importers.draft import Block, Draft
from harness.importers.items import Lost

__all__ = ["render", "scalar"]

_WIDTH = 100
_SAFE = re.compile(r"[A-Za-z_./~+^$-][A-Za-z0-9_./~@%+^=:,;()*?!<>|&$'\"\[\] -]*|[0-9]+(?:ms|s|m|h|MiB|GiB|KiB)")
#: what would be read as something else than text, here or by an older reader
_NOT_TEXT = re.compile(
    r"(?i)~|null|true|false|yes|no|on|off|y|n|[-+]?\.(?:inf|nan)|\.nan|=|<<|[-+.]?[0-9].*|-|\.|---.*|\.\.\..*"
)
_FLOW = re.compile(r"[,\[\]{}$'\"]")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def render(draft: Draft, schema: str, lost: Sequence[Lost] = ()) -> str:
    """The whole file. ``schema`` is where editors find the JSON Schema; what was lost is told at the end."""
    lines = [f"# yaml-language-server: $schema={schema}", *_comments(draft.head, ""), f"name: {scalar(draft.name)}"]
    if draft.settings:
        lines += ["", "settings:", *_block(draft.settings, "  ")]
    for section, units in (("services", draft.services), ("tasks", draft.tasks)):
        if not units:
            continue
        lines += ["", f"{section}:"]
        for number, (name, unit) in enumerate(units.items()):
            lines += [""] * (number > 0)
            lines += [f"  {scalar(name)}:", *_comments(draft.remarks.get(name, ()), "    "), *_block(unit, "    ")]
    if lost:
        lines += ["", *_comments(["Not carried over:", *map(str, lost)], "")]
    return "\n".join(lines) + "\n"


def _comments(remarks: Iterable[str], indent: str) -> list[str]:
    lines: list[str] = []
    for remark in dict.fromkeys(remarks):
        clean = " ".join(remark.split())
        lines += textwrap.wrap(
            clean, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ", break_long_words=False
        )
    return lines


def _block(block: Block, indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in block.entries.items():
        lines += _comments(block.remarks.get(key, ()), indent)
        lines += _entry(f"{indent}{scalar(key)}:", value, indent)
    return lines


def _entry(before: str, value: Any, indent: str) -> list[str]:
    """The lines of ``before`` and a value; what does not fit beside it stands below, further in."""
    if isinstance(value, Block):
        return [before, *_block(value, indent + "  ")]
    if isinstance(value, str) and "\n" in value and _literal(value):
        sign = "|" if value.endswith("\n") else "|-"
        return [f"{before} {sign}", *(f"{indent}  {line}" if line else "" for line in value.rstrip("\n").split("\n"))]
    one_line = f"{before} {_flow(value, 0)}"
    if not isinstance(value, (list, dict)) or (len(one_line) <= _WIDTH and _is_flat(value)):
        return [one_line]
    if isinstance(value, dict):
        lines = [before]
        for key, inner in value.items():
            lines += _entry(f"{indent}  {scalar(key)}:", inner, indent + "  ")
        return lines
    return [before, *(line for inner in value for line in _listed(inner, indent + "  "))]


def _listed(value: Any, indent: str) -> list[str]:
    if isinstance(value, Block):
        first, *rest = _block(value, indent + "  ")
        return [f"{indent}- {first.strip()}", *rest]
    return _entry(f"{indent}-", value, indent)


def _is_flat(value: Any) -> bool:
    """Whether nothing stands inside that would be hard to read on one line."""
    inner = value.values() if isinstance(value, dict) else value
    return not any(isinstance(one, (list, dict, Block)) or (isinstance(one, str) and "\n" in one) for one in inner)


def _flow(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, True)}: {_flow(inner, depth + 1)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(inner, depth + 1) for inner in value) + "]"
    return scalar(value, depth > 0)


def scalar(value: str | int | float | bool, flow: bool = False) -> str:
    """A scalar, quoted where it would not be read back as it is; ``flow`` inside of braces and brackets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    plain = _SAFE.fullmatch(value) and not value.endswith((" ", ":")) and ": " not in value and " #" not in value
    is_text = not _NOT_TEXT.fullmatch(value) or re.fullmatch(r"[0-9]+(?:ms|s|m|h|MiB|GiB|KiB)", value)
    if plain and is_text and not (flow and _FLOW.search(value)) and not value.startswith(("- ", "? ")):
        return value
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _literal(value: str) -> bool:
    """Whether a text of several lines comes back from a literal block."""
    body = value[:-1] if value.endswith("\n") else value
    lines = body.split("\n")
    printable = all(line.isprintable() and line == line.rstrip() for line in lines)
    return printable and bool(lines[0]) and not lines[0][0].isspace() and bool(lines[-1])
