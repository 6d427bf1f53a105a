"""``harness help``: a command's help, or a topic that belongs to none."""

from __future__ import annotations

from harness.cli.commands import ALIASES, COMMANDS
from harness.cli.grammar import Argument, Verb
from harness.cli.session import Cli
from harness_core.domain.errors import ExitCode, NotFound

__all__ = ["TOPICS", "VERB"]

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


def run(cli: Cli, *, words: tuple[str, ...]) -> int:
    if len(words) == 1 and words[0] in TOPICS:
        cli.out.lines(TOPICS[words[0]]())
        return 0
    if words and ALIASES.get(words[0], words[0]) not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(words[0], [*COMMANDS, *TOPICS], n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"topics: {', '.join(TOPICS)}"
        raise NotFound(f"cannot help with {words[0]!r}: there is no such command or topic", hint=hint)
    from harness.cli.app import run as run_line

    return run_line([*words, "--help"])


VERB = Verb(
    "help",
    run,
    "Topics: exit-codes, environment.",
    arguments=(Argument("words", "A command or a topic.", many=True, complete="help"),),
)
