"""Commands as values, and the layers through which they reach another place: over SSH, into a container.

A layer is a pure function from command to command, so layers nest: ``ssh(docker_exec(command, "db"), "box")`` is one
argument vector that runs ``command`` in the container ``db`` of the machine ``box``. Argument vectors stay vectors;
only SSH makes a line of one, because its protocol has nothing else, and every such line comes from ``line`` here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Command", "docker_exec", "line", "local", "portable", "quote", "ssh"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: bytes that mean themselves in single quotes of every login shell: not the quote, not csh's ``!``, no backslash
_PLAIN = frozenset(b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-./=:;,+@#$%&*()[]{}<>|~?^"`')


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run. Bytes that are not UTF-8 stand as surrogates, as in ``os.fsdecode``."""

    argv: tuple[str, ...]
    #: put over the environment that it finds
    env: Mapping[str, str] = field(default_factory=dict)
    #: where; ``None`` where one happens to be
    cwd: str | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what no system can run."""
        if not self.argv:
            raise ValueError("no command")
        if any("\0" in word for word in (*self.argv, *self.env.values(), self.cwd or "")):
            raise ValueError("a command cannot hold a NUL byte")
        for name in self.env:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of an environment variable there")


def quote(word: str) -> str:
    """One word for a POSIX shell, which reads exactly ``word``. The only place that quotes."""
    return "'" + word.replace("'", "'\\''") + "'"


def line(command: Command) -> str:
    """The command as a line for a POSIX shell, which becomes it."""
    parts = [f"export {name}={quote(value)}" for name, value in command.env.items()]
    if command.cwd is not None:
        # "-" means another directory to cd, and CDPATH would look elsewhere first
        place = f"./{command.cwd}" if command.cwd.startswith("-") else command.cwd
        parts.insert(0, f"CDPATH= cd {quote(place)}")
    # some shells take a leading dash behind exec for an option of exec
    run = "" if command.argv[0].startswith("-") else "exec "
    return " && ".join([*parts, run + " ".join(map(quote, command.argv))])


def portable(script: str) -> str:
    """A line by which any login shell, those of csh's and fish's kind too, has ``sh`` run ``script``.

    It is plain ASCII without quotes, backslashes in doubtful places or line ends within its words.
    """
    data = script.encode("utf-8", "surrogateescape")
    coded = "".join(chr(byte) if byte in _PLAIN else f"\\0{byte:03o}" for byte in data)
    return f"exec sh -c 'eval \"$(printf %b \"$0\")\"' '{coded}'"


def local(command: Command) -> Command:
    """On the machine itself: an argument vector that brings its environment and directory about."""
    if not command.env and command.cwd is None:
        return command
    return Command(("sh", "-c", line(command)))


def ssh(command: Command, destination: str, options: Sequence[str] = ()) -> Command:
    """On another machine, by the program ``ssh``. Raises ``ValueError`` for a destination that reads as an option."""
    if destination.startswith("-") or not destination:
        raise ValueError(f"{destination!r} cannot be a host")
    return Command(("ssh", *options, "--", destination, portable(line(command))))


def docker_exec(command: Command, container: str, *, program: str = "docker") -> Command:
    """In a container, by the program ``docker``. Raises ``ValueError`` for a container that reads as an option."""
    if container.startswith("-") or not container:
        raise ValueError(f"{container!r} cannot be a container")
    options = [word for name, value in command.env.items() for word in ("--env", f"{name}={value}")]
    if command.cwd is not None:
        options += ["--workdir", command.cwd]
    return Command((program, "exec", "--interactive", *options, container, *command.argv))
