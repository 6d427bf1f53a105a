"""Reading the command line with click: for help, mistakes with suggestions, completion, and ``HARNESS_*`` variables.

Imported only when the short way (``harness.cli.fastpath``) leaves a line to it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from harness.cli.clickview import build
from harness.cli.errors import report
from harness.cli.settings import Settings
from harness_core.domain.errors import ExitCode, UsageError

__all__ = ["run"]


def run(argv: Sequence[str]) -> int:
    """Read and run one command line. Returns the exit code."""
    try:
        code = build().main(list(argv), prog_name="harness", standalone_mode=False, auto_envvar_prefix="HARNESS")
        return int(code) if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return int(ExitCode.INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.message}\n")
        return int(ExitCode.USAGE)
    except click.ClickException as error:
        return _misuse(error)


def _misuse(error: click.ClickException) -> int:
    """Click's errors in our words: lower case, the way out as a hint, exit 2."""
    near: list[str] = []
    message = error.format_message()
    if isinstance(error, (click.NoSuchOption, click.exceptions.NoSuchCommand)):
        message, near = error.message, list(error.possibilities or ())
    text = message[:1].lower() + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "harness"
    hint = f"did you mean {' or '.join(near)}?" if near else f"{path} --help   shows how it is used"
    return report(Settings(), UsageError(text, hint=hint))
