"""Why a process cannot start, as people would say it: before the start, and after the kernel said no."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from executors.process.command import Command, candidates, command_of
from executors.process.options import ProcessOptions
from harness_core.domain.executor import StartFailed
from harness_core.runtime.processes import refusal

__all__ = ["check", "explain", "find_program"]


def check(options: BaseModel, base_dir: Path, env: Mapping[str, str]) -> list[str]:
    """Problems of a target that can be told without starting it; sentences, empty when there are none."""
    assert isinstance(options, ProcessOptions), "the plugin's own model"
    if "${" in f"{options.binary}{options.working_dir}{options.stdin}{options.env.get('PATH', '')}":
        return []  # known once the services that it refers to run
    try:
        command = command_of(options, base_dir, env)
        find_program(command)
    except StartFailed as failed:
        return [f"{failed.message}; {failed.hint}" if failed.hint else failed.message]
    return []


def find_program(command: Command) -> Path:
    """The program's file. Raises ``StartFailed`` for what is wrong with it, its folder, or its standard input."""
    if not command.cwd.is_dir():
        raise _cwd_missing(command)
    if command.stdin is not None and not os.access(command.stdin, os.R_OK):
        raise _unreadable_stdin(command)
    found: Path | None = None
    for path in candidates(command):
        if path.is_file():
            if os.access(path, os.X_OK):
                return path
            found = found or path
    if found is not None:
        raise _not_executable(found)
    if "/" in command.program:
        place = candidates(command)[0]
        if place.is_dir():
            raise StartFailed(f"cannot start {command.program}: {place} is a folder", permanent=True)
        raise StartFailed(f"cannot start {command.program}: no such file {place}", hint=_near(place), permanent=True)
    names = _programs(candidates(command))
    close = difflib.get_close_matches(command.program, names, n=3, cutoff=0.75)
    hint = f"did you mean {' or '.join(close)}?" if close else "install it, or give its path"
    raise StartFailed(f"cannot start {command.program}: it is not on the PATH of the stack", hint=hint, permanent=True)


def explain(command: Command, number: int, stage: str) -> StartFailed:
    """The kernel's refusal as a sentence that names the culprit; ``stage`` is what was being done."""
    try:
        program = find_program(command)
    except StartFailed as failed:
        return failed
    if stage == "cwd":
        if not command.cwd.is_dir():
            return _cwd_missing(command)
        return StartFailed(f"cannot start {program}: may not enter its folder {command.cwd}", permanent=True)
    if stage == "stdin":
        return _unreadable_stdin(command)
    interpreter = _interpreter(program)
    if number == errno.ENOENT and program.exists():
        missing = interpreter or "the loader that it was linked for"
        return StartFailed(
            f"cannot start {program}: its interpreter is missing: {missing}",
            hint="a line end of CR LF in its first line does this too" if missing.endswith("\r") else "",
            permanent=True,
        )
    if number == errno.ENOENT:
        return StartFailed(f"cannot start {program}: no such file", hint=_near(program), permanent=True)
    if number == errno.EACCES:
        return _not_executable(program)
    if number == errno.ENOEXEC:
        return StartFailed(
            f"cannot start {program}: it is not a program for this machine",
            hint="a script needs a first line such as #!/bin/sh",
            permanent=True,
        )
    if number == errno.E2BIG:
        return StartFailed(f"cannot start {program}: its arguments and environment are too long", permanent=True)
    if number == errno.EPERM:
        return StartFailed(f"cannot start {program}: not permitted to run as the user asked for", permanent=True)
    return StartFailed(f"cannot start {program}: {refusal(number)}")


def _cwd_missing(command: Command) -> StartFailed:
    what = "is not a folder" if command.cwd.exists() else "does not exist"
    return StartFailed(
        f"cannot start {command.program}: its working_dir {command.cwd} {what}", hint=_near(command.cwd), permanent=True
    )


def _unreadable_stdin(command: Command) -> StartFailed:
    return StartFailed(
        f"cannot start {command.program}: cannot read its standard input {command.stdin}", permanent=True
    )


def _not_executable(path: Path) -> StartFailed:
    if path.is_dir():
        return StartFailed(f"cannot start {path}: it is a folder", permanent=True)
    return StartFailed(f"cannot start {path}: not executable", hint=f"chmod +x {path}", permanent=True)


def _near(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"{path.parent} does not exist either" if not path.parent.exists() else ""
    close = difflib.get_close_matches(path.name, names, n=3)
    return f"did you mean {' or '.join(close)}?" if close else ""


def _programs(places: list[Path]) -> list[str]:
    names: set[str] = set()
    for place in places:
        try:
            names.update(os.listdir(place.parent))
        except OSError:
            continue
    return sorted(names)


def _interpreter(program: Path) -> str:
    try:
        with program.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    if not first.startswith(b"#!"):
        return ""
    return first[2:].rstrip(b"\n").strip(b" \t").split(b" ")[0].decode("utf-8", "replace")
