"""Help on what belongs to no single command."""

from __future__ import annotations

from harness_core.domain.errors import ExitCode

__all__ = ["TOPICS"]

_MEANINGS = {
    ExitCode.OK: "done, and as it was wanted",
    ExitCode.FAILED: "the operation failed: a unit failed, is unhealthy or would not stop",
    ExitCode.USAGE: "the command line makes no sense",
    ExitCode.CONFIGURATION: "a stack file or a setting is wrong",
    ExitCode.AUTHENTICATION: "no access, or a daemon that cannot be trusted",
    ExitCode.UNREACHABLE: "no daemon answers",
    ExitCode.CONFLICT: "a port, a lock, a name or a device is in other hands",
    ExitCode.NOT_FOUND: "no such unit, stack or task",
    ExitCode.TIMEOUT: "the wait is over; the work goes on",
    ExitCode.EXEC: "exec could not start the command",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


def exit_codes() -> list[str]:
    """Every exit code and its meaning."""
    lines = ["exit codes", ""]
    lines += [f"  {int(code):>3}  {meaning}" for code, meaning in _MEANINGS.items()]
    return [*lines, "", "exec and run pass on the exit code of what they ran; a signal N becomes 128 + N."]


def environment() -> list[str]:
    """The variables that the command line reads."""
    return [
        "environment",
        "",
        "  HARNESS_STATE_DIR         where the daemon keeps its state",
        "  HARNESS_CONTEXT           as --context",
        "  HARNESS_OUTPUT_FORMAT     as --output",
        "  HARNESS_PROGRESS, HARNESS_COLOR, HARNESS_TIMEOUT, HARNESS_YES, HARNESS_NO_INPUT, HARNESS_QUIET",
        "                            as the options of these names",
        "  HARNESS_<VERB>_<OPTION>   any other option, for example HARNESS_LOGS_TAIL=20",
        "  NO_COLOR, FORCE_COLOR     colours off, on; --color wins over both",
    ]


TOPICS = {"exit-codes": exit_codes, "environment": environment}
