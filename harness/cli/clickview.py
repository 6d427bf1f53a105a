"""The ``Verb``s as click commands."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import click
from click.core import ParameterSource
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem

from harness.cli.commands import ALIASES, COMMANDS, load
from harness.cli.complete import complete_names
from harness.cli.dispatch import execute
from harness.cli.grammar import GLOBALS, Argument, Option, Verb

__all__ = ["build"]

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_TYPES: dict[str, Any] = {"text": str, "int": int}


class _Root(click.Group):
    """Knows its commands by the table alone and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        return _command(name, load(name)) if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            # click suggests from the commands that it holds, and the table's are not loaded
            raise NoSuchCommand(error.command_name, possibilities=[*COMMANDS, *ALIASES], ctx=ctx) from None
        # the verb's own name, so that HARNESS_STATUS_… holds for `harness ps` as well
        return (command.name if command is not None else name), command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        short = {full: alias for alias, full in ALIASES.items()}
        for section in dict.fromkeys(command.section for command in COMMANDS.values()):
            rows = [
                (f"{name}, {short[name]}" if name in short else name, command.summary)
                for name, command in COMMANDS.items()
                if command.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = {name: command.summary for name, command in COMMANDS.items()}
        names |= {alias: COMMANDS[name].summary for alias, name in ALIASES.items() if incomplete}
        found = [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(incomplete)]
        # options only: the names are here already
        return found + click.Command.shell_complete(self, ctx, incomplete)


class _Leaf(click.Command):
    """Shows its own options before those that all verbs have."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shared = {option.key for option in GLOBALS}
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record is not None:
                (common if param.name in shared else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        with formatter.section("Options of all commands"):
            formatter.write_dl(common)


def build() -> click.Group:
    """The root command."""
    return _Root(
        "harness",
        help="Run processes and tasks as one stack, from one YAML file.\n\n"
        "Begin with: harness init, harness start, harness status.",
        epilog="Exit codes: harness help exit-codes",
        params=[_option(option) for option in GLOBALS],
        callback=_remember,
        context_settings=_CONTEXT,
    )


@click.pass_context
def _remember(ctx: click.Context, /, **values: Any) -> None:
    """The root's own options; the verb's win over them."""
    ctx.obj = values


def _command(name: str, module: ModuleType) -> click.Command:
    summary = COMMANDS[name].summary
    if not hasattr(module, "VERBS"):
        return _leaf(module.VERB, summary)
    group = click.Group(name, help=f"{summary}\n\n{module.HELP}", context_settings=_CONTEXT)
    for verb in module.VERBS:
        group.add_command(_leaf(verb, verb.summary))
    return group


def _leaf(verb: Verb, summary: str) -> click.Command:
    settings = dict(_CONTEXT)
    if verb.passthrough:
        settings |= {"ignore_unknown_options": True, "allow_interspersed_args": False}
    params: list[click.Parameter] = [_argument(argument) for argument in verb.arguments]
    own = {flag for option in verb.options for flag in option.flags}
    options = (*verb.options, *(option for option in GLOBALS if own.isdisjoint(option.flags)))
    params += [_option(option) for option in options]

    @click.pass_context
    def callback(ctx: click.Context, /, **values: Any) -> int:
        shared = _shared(ctx, values)
        for argument in verb.arguments:
            if values[argument.name] is None:
                values[argument.name] = ""
        return execute(verb, values, shared)

    return _Leaf(
        verb.name, params=params, callback=callback, help=f"{summary}\n\n{verb.help}", context_settings=settings
    )


def _shared(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The global options, taken out of ``values``: those behind the verb win over those before it. One whose flag the
    verb has for itself can only stand before."""
    before: dict[str, Any] = ctx.find_root().obj or {}
    shared = {}
    for option in GLOBALS:
        behind = values.pop(option.key, None)
        given = ctx.get_parameter_source(option.key) not in (None, ParameterSource.DEFAULT)
        shared[option.key] = behind if given else before.get(option.key)
    return shared


def _option(option: Option) -> click.Option:
    extra: dict[str, Any] = {"help": option.help, "show_default": False}
    if option.kind == "flag":
        extra |= {"is_flag": True, "default": bool(option.default)}
    elif option.kind == "count":
        extra |= {"count": True}
    else:
        kind = click.Choice(option.choices) if option.kind == "choice" else _TYPES[option.kind]
        extra |= {"type": kind, "default": option.default, "multiple": option.many}
        extra |= {"metavar": option.metavar or None, "shell_complete": _completer(option.complete)}
    if option.envvar:
        extra |= {"envvar": option.envvar, "allow_from_autoenv": False}
    return click.Option([*option.flags, option.key], **extra)


def _argument(argument: Argument) -> click.Argument:
    return click.Argument(
        [argument.name],
        nargs=-1 if argument.many else 1,
        required=argument.required,
        help=argument.help,
        type=click.Choice(argument.choices) if argument.choices else str,
        shell_complete=_completer(argument.complete),
    )


def _completer(kind: str) -> Any:
    if not kind:
        return None

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        context = str(ctx.params.get("context") or ctx.find_root().params.get("context") or "")
        return [
            CompletionItem(name, type=how, help=text) for name, how, text in complete_names(kind, incomplete, context)
        ]

    return complete
