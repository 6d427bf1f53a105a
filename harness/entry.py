"""The command ``harness``: reads the line by the short way where it can, else with click."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run one command line and return its exit code (``harness_core.domain.errors.ExitCode``)."""
    from harness.cli.errors import end_quietly
    from harness.cli.fastpath import parse

    _fill_closed_streams()
    argv = sys.argv[1:]
    try:
        if (parsed := parse(argv, os.environ)) is not None:
            from harness.cli.dispatch import execute

            code = execute(parsed.verb, parsed.values, parsed.shared)
        else:
            from harness.cli.app import run

            code = run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        end_quietly()
        return 0
    except KeyboardInterrupt:
        return 130


def _fill_closed_streams() -> None:
    """Streams that were closed before the start (``>&-``) become /dev/null: else the next file or socket that is opened
    would get their number, and what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
