"""From options to a command: pure, so that ``plan`` can show it and tests need no process."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from executors.process.options import ProcessOptions
from harness_core.runtime.places import place_of, with_home

__all__ = ["Command", "candidates", "command_of", "direct_program"]

_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run; ``program`` is as written and is still to be found among ``candidates``."""

    program: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    base_dir: Path
    stdin: Path | None
    umask: int
    #: names the process that stays when the command only starts it
    pid_file: Path | None = None


def command_of(options: ProcessOptions, base_dir: Path, env: Mapping[str, str]) -> Command:
    """The command of a target; ``env`` is the instance's environment, over which the target's own wins."""
    whole = {**env, **options.env}
    home = whole.get("HOME", "")
    cwd = place_of(base_dir, options.working_dir or ".", home)
    argv: tuple[str, ...]
    if options.shell is not None:
        program, argv = "/bin/sh", ("/bin/sh", "-c", options.shell)
    else:
        assert options.binary is not None, "the model has one of the two"
        program = with_home(options.binary, home)
        argv = (options.binary, *options.args)
    stdin = None if options.stdin is None else place_of(cwd, options.stdin, home)
    pid_file = None if options.pid_file is None else place_of(cwd, options.pid_file, home)
    return Command(program, argv, whole, cwd, base_dir, stdin, options.umask, pid_file)


def candidates(command: Command) -> list[Path]:
    """Where the program may be, best first: under the folders of its own PATH, or at the path written."""
    if "/" in command.program:
        places = [place_of(command.cwd, command.program), place_of(command.base_dir, command.program)]
    else:
        folders = command.env.get("PATH", _DEFAULT_PATH).split(":")
        places = [place_of(command.cwd, os.path.join(folder or ".", command.program)) for folder in folders]
    return list(dict.fromkeys(places))


def direct_program(command: Command) -> str | None:
    """What exec finds as ``candidates`` would be searched: one path, or a name for its own search along PATH."""
    if "/" not in command.program:
        return command.program if "PATH" in command.env else None
    places = candidates(command)
    return str(places[0]) if len(places) == 1 else None
