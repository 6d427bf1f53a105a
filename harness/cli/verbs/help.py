"""``harness help``: a command's help, or a topic that belongs to none."""

from __future__ import annotations

from harness.cli.commands import ALIASES, COMMANDS
from harness.cli.grammar import Argument, Verb
from harness.cli.session import Cli
from harness.cli.topics import TOPICS
from harness_core.domain.errors import NotFound

__all__ = ["VERB"]


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
