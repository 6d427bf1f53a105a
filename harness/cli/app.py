"""The command line as click sees it: built from the same ``Verb``s as the short way, imported only when it is needed.

Click gives help, mistakes with suggestions, completion, and ``HARNESS_*`` variables for every option.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import click
from click.core import ParameterSource

from harness.cli.commands import ALIASES, COMMANDS, load
from harness.cli.complete import complete_names
from harness.cli.dispatch import execute
from harness.cli.errors import report
from harness.cli.grammar import GLOBALS, Argument, Option, Verb
from harness.cli.settings import Settings
from harness_core.domain.errors import ExitCode, UsageError

__all__ = ["build", "run"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_TYPES: dict[str, Any] = {"text": str, "int": int}


def run(argv: Sequence[str]) -> int:
    """Read and run one command line. Returns the exit code."""
    try:
        code = build().main(list(argv), prog_name="harness", standalone_mode=False, auto_envvar_prefix="HARNESS")
        return int(code) if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        return _misuse(error)


def _misuse(error: click.ClickException) -> int:
    """Click's errors in our words: lower case, one hint, exit 2."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "harness"
    text = message[:1].lower() + message[1:]
    return report(Settings(), UsageError(text, hint=f"{path} --help   shows how it is used"))


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
        name, command, rest = super().resolve_command(ctx, args)
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


def build() -> click.Group:
    """The root command."""
    return _Root(
        "harness",
        help="Run processes, containers, remote hosts and tasks as one stack, from one YAML file.\n\n"
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
    if hasattr(module, "VERBS"):
        verbs: tuple[Verb, ...] = module.VERBS
        group = click.Group(name, help=f"{summary}\n\n{module.HELP}".rstrip(), context_settings=_CONTEXT)
        for verb in verbs:
            group.add_command(_leaf(verb, verb.summary))
        return group
    return _leaf(module.VERB, summary)


def _leaf(verb: Verb, summary: str) -> click.Command:
    settings: dict[str, Any] = dict(_CONTEXT)
    if verb.passthrough:
        settings |= {"ignore_unknown_options": True, "allow_interspersed_args": False}
    params: list[click.Parameter] = [_argument(argument) for argument in verb.arguments]
    params += [_option(option) for option in (*verb.options, *GLOBALS)]

    @click.pass_context
    def callback(ctx: click.Context, /, **values: Any) -> int:
        shared = _shared(ctx, values)
        for argument in verb.arguments:
            if values[argument.name] is None:
                values[argument.name] = ""
        return execute(verb, values, shared)

    return click.Command(
        verb.name, params=params, callback=callback, help=f"{summary}\n\n{verb.help}", context_settings=settings
    )


def _shared(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The global options, taken out of ``values``: those behind the verb win over those before it."""
    before: dict[str, Any] = ctx.find_root().obj or {}
    shared = {}
    for option in GLOBALS:
        name = option.key
        behind = values.pop(name)
        given = ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)
        shared[name] = behind if given else before.get(name)
    return shared


def _option(option: Option) -> click.Option:
    name = option.key
    extra: dict[str, Any] = {"help": option.help, "show_default": False}
    if option.kind == "flag":
        extra |= {"is_flag": True, "default": bool(option.default)}
    elif option.kind == "count":
        extra |= {"count": True}
    else:
        kind = click.Choice(option.choices) if option.kind == "choice" else _TYPES[option.kind]
        extra |= {"type": kind, "default": option.default, "multiple": option.many}
        extra["shell_complete"] = _completer(option.complete)
        if option.metavar:
            extra["metavar"] = option.metavar
    if option.envvar:
        extra |= {"envvar": option.envvar, "allow_from_autoenv": False}
    return click.Option([*option.flags, name], **extra)


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

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        root: dict[str, Any] = ctx.find_root().params
        found = complete_names(kind, incomplete, str(ctx.params.get("context") or root.get("context") or ""))
        return [click.shell_completion.CompletionItem(name, type=how, help=text) for name, how, text in found]

    return complete
