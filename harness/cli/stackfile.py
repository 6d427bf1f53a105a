"""Stack files on the client's side: finding them, reading them, and the variables that go with them.

The daemon reads nothing of the user's but what it is sent. A client therefore sends the text, the directory, and of its
environment only what the file names as ``${NAME}`` and what every program needs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness_core.domain.errors import InvalidConfiguration, UsageError

__all__ = ["NAMES", "find", "is_file", "read_env_file", "read_text", "source", "split"]

#: what a stack file is called where none is named
NAMES = ("harness.yaml", "harness.yml")
MAX_SIZE = 1024 * 1024
_SUFFIXES = (".yaml", ".yml")

#: what a program needs to find its way, as far as the client has it
_BASE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "VIRTUAL_ENV", "TMPDIR", "SSH_AUTH_SOCK")
_BASE_PREFIXES = ("LC_", "XDG_")
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_ENV_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
#: tells the daemon which of the sent variables the services inherit besides the base set
INHERIT = "HARNESS_INHERIT"


def find(directory: str) -> str | None:
    """The nearest ``harness.yaml`` from ``directory`` upwards."""
    here = os.path.abspath(directory)
    while True:
        for name in NAMES:
            if os.path.isfile(path := os.path.join(here, name)):
                return path
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


def is_file(word: str) -> bool:
    """Whether a word of the command line means a stack file rather than a unit: a YAML name, a path that no unit's
    name looks like, an existing file, or a directory that holds a stack file; ``-`` is standard input."""
    if word == "-" or word.endswith((*_SUFFIXES, "/")) or word.startswith(("/", "./", "../")):
        return True
    if os.path.isdir(word):
        return any(os.path.isfile(os.path.join(word, name)) for name in NAMES)
    return os.path.isfile(word)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files and the unit names among ``words``. Raises ``UsageError`` for names with several files."""
    files = [word for word in words if is_file(word)]
    names = [word for word in words if not is_file(word)]
    if len(files) > 1 and names:
        raise UsageError(
            f"cannot tell to which file {names[0]!r} belongs", hint="name units with one stack file at a time"
        )
    return files, names


def source(
    word: str,
    environ: Mapping[str, str],
    *,
    name: str | None = None,
    env_files: Sequence[str] = (),
    assignments: Sequence[str] = (),
    inherit: Sequence[str] = (),
) -> dict[str, Any]:
    """The ``StackSource`` of one file, for the wire.

    Variables: ``assignments`` (``KEY=value``) win over the environment, and that over ``env_files``. ``inherit`` names
    variables that the services get as well, "all" for every one. Raises ``InvalidConfiguration``, ``UsageError``.
    """
    path, text = _read(word)
    env: dict[str, str] = {}
    for file in env_files:
        env |= read_env_file(file)
    env |= _chosen(text, environ, inherit)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not _NAMED.fullmatch("${" + key):
            raise UsageError(f"cannot read --set {assignment!r}", hint="write --set KEY=value")
        env[key] = value
    directory = os.path.dirname(os.path.abspath(path)) if word != "-" else os.getcwd()
    return {"text": text, "filename": path, "base_dir": directory, "env": env, "name": name}


def _chosen(text: str, environ: Mapping[str, str], inherit: Sequence[str]) -> dict[str, str]:
    everything = "all" in inherit
    inherited = [key for key in environ if _plain(key)] if everything else list(inherit)
    wanted = {*_BASE, *_NAMED.findall(text), *inherited}
    chosen = {key: value for key, value in environ.items() if key in wanted or key.startswith(_BASE_PREFIXES)}
    chosen.pop(INHERIT, None)
    if inherited:
        chosen[INHERIT] = ",".join(sorted(set(inherited) & set(environ)))
    # bytes that are no UTF-8 cannot travel in JSON
    return {key: value for key, value in chosen.items() if _plain(key) and _sendable(value)}


def _plain(key: str) -> bool:
    """Whether a name can be sent in a list with commas: shells export functions under names that cannot."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) is not None


def _sendable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(word: str) -> tuple[str, str]:
    """The path and text of a stack file."""
    path = word
    if os.path.isdir(word):
        path = next(
            (p for p in (os.path.join(word, n) for n in NAMES) if os.path.isfile(p)), os.path.join(word, NAMES[0])
        )
    return ("<stdin>" if word == "-" else path), read_text(word if word == "-" else path)


def read_text(path: str) -> str:
    """The text of a file of at most 1 MiB; ``-`` is standard input. Raises ``InvalidConfiguration``."""
    try:
        if path == "-":
            path = "<stdin>"
            raw = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(MAX_SIZE + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        hint = _near(path) if isinstance(error, FileNotFoundError) else ""
        raise InvalidConfiguration(f"cannot read {path}: {why}", hint=hint) from None
    if len(raw) > MAX_SIZE:
        raise InvalidConfiguration(f"cannot read {path}: it is larger than 1 MiB", hint="is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidConfiguration(
            f"cannot read {path}: line {line} is not UTF-8", hint="save the file with the encoding UTF-8"
        ) from None


def _near(path: str) -> str:
    """What a person may have meant by a file that is not there."""
    from difflib import get_close_matches

    directory, name = os.path.split(path)
    try:
        there = sorted(entry for entry in os.listdir(directory or ".") if entry.endswith(_SUFFIXES))
    except OSError:
        return f"there is no directory {directory}"
    # the suffix, which all have, would make everything look alike
    stems = {os.path.splitext(entry)[0]: entry for entry in there}
    close = [stems[stem] for stem in get_close_matches(os.path.splitext(name)[0], stems, n=3)]
    if close:
        return "did you mean " + ", ".join(os.path.join(directory, entry) for entry in close) + "?"
    if there:
        return "there are: " + ", ".join(os.path.join(directory, entry) for entry in there[:5])
    return "write one with: harness init"


def read_env_file(path: str) -> dict[str, str]:
    """The ``KEY=value`` lines of a file; quotes around a value are taken off, ``#`` begins a comment line."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read(MAX_SIZE).splitlines()
    except OSError as error:
        raise InvalidConfiguration(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"cannot read {path}: it is not UTF-8") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _ENV_LINE.fullmatch(stripped)
        if match is None:
            raise InvalidConfiguration(f"cannot read {path}:{number}: it is no KEY=value line", hint=stripped[:60])
        found[match[1]] = _unquoted(match[2].strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
