"""Write the parts of the documents that are taken from the code: the keys of a stack file, the commands.

    python scripts/reference.py            write them
    python scripts/reference.py --check    only say whether they are current; the tests do the same

A document marks such a part with ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import enum
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from harness.cli.app import build  # noqa: E402 - the path has to be set first
from harness_core.domain import policies, probes, quantities, stackfile  # noqa: E402 - the same
from harness_core.runtime.plugins import load_plugins  # noqa: E402 - the same

_WORDS: dict[Any, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "yes or no",
    dict: "mapping",
    Any: "anything",
}
_QUANTITIES = {quantities.parse_duration: "duration", quantities.parse_size: "size"}


# ── the keys of a stack file ─────────────────────────────────────────────────────────────────────────────────────────


TABLES: dict[type[BaseModel], str] = {
    stackfile.StackFile: "The file",
    stackfile.Settings: "settings",
    stackfile.ServiceFile: "A service",
    stackfile.TaskFile: "A task",
    policies.Dependency: "dependencies",
    policies.PortSpec: "ports",
    probes.Check: "health_check",
    probes.HttpCheck: "http",
    probes.TcpCheck: "tcp",
    probes.CommandCheck: "command",
    probes.LogCheck: "log",
    probes.FileCheck: "file",
    policies.RestartSpec: "restart",
    policies.StopSpec: "stop",
    policies.LogsSpec: "logs",
    policies.LimitsSpec: "limits",
    stackfile.HostSpec: "hosts",
}


def stack_keys() -> str:
    """Every model of a stack file as a table, those of the installed target types at the end."""
    tables = [_table(title, model) for model, title in TABLES.items()]
    plugins = load_plugins().executors
    for kind in sorted(plugins):
        parts = {model: f"{name} of {kind}" for model, name in _parts(plugins[kind].options).items()}
        _PARTS.update(parts)
        tables.append(_table(f"target of type {kind}", plugins[kind].options))
        tables += [_table(title, model) for model, title in parts.items()]
    return "\n".join(tables)


#: the models that a target's keys are made of, and their titles
_PARTS: dict[Any, str] = {}


def _parts(model: type[BaseModel]) -> dict[type[BaseModel], str]:
    """The models within a target's model, each by the key under which it is written."""
    found: dict[type[BaseModel], str] = {}
    for name, field in model.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in TABLES:
                found[part] = name
    return found


def _table(title: str, model: type[BaseModel]) -> str:
    about = " ".join((model.__doc__ or "").split())
    rows = [
        f"| `{name}` | {_type(field)} | {_default(field)} | {_about(field)} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join([f"### {title}", "", about, "", "| key | value | default | |", "|---|---|---|---|", *rows, ""])


def _about(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value in (None, [], {}, "") or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if _type(field) == "duration":
        return f"`{value:g}s`"
    return f"`{value.value if isinstance(value, enum.Enum) else value}`"


def _type(field: FieldInfo) -> str:
    for part in field.metadata:
        if (found := _QUANTITIES.get(getattr(part, "func", None))) is not None:
            return found
    return _word(field.annotation)


def _word(annotation: Any) -> str:
    """A type in the words of those who write stack files."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        known = [_QUANTITIES[part.func] for part in args[1:] if getattr(part, "func", None) in _QUANTITIES]
        return known[0] if known else _word(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_word(a) for a in args if a is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{a}`" for a in args)
    if origin is list:
        return f"list of {_word(args[0])}"
    if origin is dict:
        return "mapping" if args[1] is Any else f"mapping of {_word(args[1])}"
    if issubclass(annotation, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if annotation is probes.Probe:  # a check within a check
        annotation = probes.Check
    title = TABLES.get(annotation) or _PARTS[annotation]
    return f"[{title.removeprefix('A ')}](#{title.lower().replace(' ', '-')})"


# ── the commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def commands() -> str:
    """Every command with its usage, its help and its own options; the options that all share, once at the end."""
    root = build()
    shared = {parameter.name for parameter in root.params}
    parts: list[str] = []
    with click.Context(root, info_name="harness") as context:
        for name in root.list_commands(context):
            command = root.get_command(context, name)
            assert command is not None, f"the table names {name}"
            parts += _command(command, click.Context(command, info_name=name, parent=context), shared)
        parts += ["### Options of every command", "", *_options(root, context, set()), ""]
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context, shared: set[str | None]) -> Iterator[str]:
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield from (f"### `{f'{context.command_path} {usage}'.strip()}`", "", _paragraphs(command.help or ""), "")
    if options := list(_options(command, context, shared)):
        yield from (*options, "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, f"the group names {name}"
            yield from _command(below, click.Context(below, info_name=name, parent=context), shared)


def _options(command: click.Command, context: click.Context, shared: set[str | None]) -> Iterator[str]:
    rows = []
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record and parameter.name not in shared:
            rows.append(f"| `{record[0]}` | {record[1].replace('|', chr(92) + '|')} |")
    if rows:
        yield from ("| option | |", "|---|---|", *rows)


def _paragraphs(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text.replace("\b\n", "").strip())


# ── into the documents ───────────────────────────────────────────────────────────────────────────────────────────────

PARTS: dict[str, tuple[Path, Callable[[], str]]] = {
    "keys": (ROOT / "docs/stack-file.md", stack_keys),
    "commands": (ROOT / "docs/cli.md", commands),
}


def with_part(text: str, name: str, part: str) -> str:
    """The document with its generated part replaced. Raises ``ValueError`` when it has none of that name."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no part {name} in the document")
    return f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"


def main() -> int:
    stale = []
    for name, (document, make) in PARTS.items():
        text = document.read_text(encoding="utf-8")
        fresh = with_part(text, name, make())
        if fresh != text:
            stale.append(document.relative_to(ROOT))
            if "--check" not in sys.argv[1:]:
                document.write_text(fresh, encoding="utf-8")
    for document in stale:
        print(f"{document}: {'not current' if '--check' in sys.argv[1:] else 'written'}")  # noqa: T201 - a command
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
