"""The command ``harness``: reads the line by the short way where it can, else with click."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run one command line and return its exit code (``harness_core.domain.errors.ExitCode``)."""
    from harness.cli.errors import end_quietly
    from harness.cli.fastpath import parse

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
