"""What a verb is, as data: its name, arguments and options, and the function that does it.

One description feeds both readers of the command line: the short path of the verbs that people repeat, which uses the
standard library alone (``harness.cli.fastpath``), and click (``harness.cli.app``). Nothing is said twice, and a verb's
module imports neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["GLOBALS", "OUTPUTS", "STACK", "UNITS", "Argument", "Option", "Verb"]

OUTPUTS = ("table", "wide", "json", "jsonl", "yaml", "name")


class Option(NamedTuple):
    """One option. ``kind`` is "flag", "count", "text", "int" or "choice"."""

    flags: tuple[str, ...]
    help: str
    kind: str = "flag"
    default: Any = None
    choices: tuple[str, ...] = ()
    #: may be given several times; the value is a tuple
    many: bool = False
    metavar: str = ""
    #: what the shell completes: "unit", "task", "file", "stack", ""
    complete: str = ""
    #: the environment variable; "" means the automatic one
    envvar: str = ""
    #: the parameter's name where the flag's would be a word of Python
    parameter: str = ""

    @property
    def key(self) -> str:
        """The parameter's name: that of the first long flag, unless it is given."""
        long = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return self.parameter or long.lstrip("-").replace("-", "_")

    @property
    def takes_value(self) -> bool:
        return self.kind in ("text", "int", "choice")

    @property
    def start(self) -> Any:
        """The value when the option is not given."""
        if self.many:
            return ()
        if self.default is not None:
            return self.default
        return {"flag": False, "count": 0}.get(self.kind)


class Argument(NamedTuple):
    """One positional argument; ``many`` takes all that follow."""

    name: str
    help: str
    many: bool = False
    required: bool = False
    complete: str = ""
    choices: tuple[str, ...] = ()


class Verb(NamedTuple):
    """One command. ``run(cli, **values)`` returns the exit code; its errors are ``HarnessError``s."""

    name: str
    run: Callable[..., int]
    #: what stands below the one-line summary of ``harness.cli.commands``
    help: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    #: for the verbs of a group, which the table of commands does not list one by one
    summary: str = ""
    #: everything after the first argument belongs to somebody else (``exec NAME -- ls -l``)
    passthrough: bool = False


#: accepted before and after every verb
GLOBALS: tuple[Option, ...] = (
    Option(("-H", "--context"), "Talk to this daemon: a saved context's name or a harness:// address.", "text"),
    Option(
        ("-o", "--output"),
        "How data is written to standard output.",
        "choice",
        choices=OUTPUTS,
        # not HARNESS_OUTPUT: inside a task that names the file for its outputs
        envvar="HARNESS_OUTPUT_FORMAT",
    ),
    Option(
        ("--progress",),
        "How progress is written to standard error.",
        "choice",
        choices=("auto", "tty", "plain", "json", "quiet"),
    ),
    Option(("--color",), "When to use colours.", "choice", choices=("auto", "always", "never")),
    Option(("-q", "--quiet"), "Only what was asked for, and errors."),
    Option(("-v", "--verbose"), "Say more; with an unexpected error, where it happened.", "count"),
    Option(("-y", "--yes"), "Answer every question with yes."),
    Option(("--no-input",), "Never ask; refuse instead."),
    Option(("--timeout",), "Give up waiting after this long (30s, 2m); the work goes on.", "text", metavar="DURATION"),
)

#: for verbs that take units
STACK = Option(("-s", "--stack"), "Only units of this stack.", "text", metavar="NAME", complete="stack")
UNITS = Argument("names", "Units, stacks or globs.", many=True, complete="unit")
