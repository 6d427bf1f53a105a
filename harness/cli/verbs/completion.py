"""``harness completion``: commands, options and the names of living units in the shell."""

from __future__ import annotations

import os

from harness.cli.grammar import Argument, Verb
from harness.cli.session import Cli
from harness_core.domain.errors import InvalidConfiguration, UsageError

__all__ = ["HELP", "VERBS"]

HELP = "Once, for the shell in use: harness completion install"
_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_HARNESS_COMPLETE"
_MARK = "# harness completion"


def script(shell: str) -> str:
    """The shell code that click has for this shell."""
    from click.shell_completion import get_completion_class

    from harness.cli.clickview import build

    found = get_completion_class(shell)
    assert found is not None, "the shells are those that click knows"
    return found(build(), {}, "harness", _VARIABLE).source()


def place(shell: str, environ: dict[str, str]) -> tuple[str, str]:
    """The file of the script, and the file that must read it ("" where the shell finds it by itself)."""
    home = environ.get("HOME") or os.path.expanduser("~")
    data = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    if shell == "fish":
        config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        return os.path.join(config, "fish", "completions", "harness.fish"), ""
    if shell == "zsh":
        directory = os.path.join(data, "harness")
        return os.path.join(directory, "completion.zsh"), os.path.join(environ.get("ZDOTDIR") or home, ".zshrc")
    return os.path.join(data, "bash-completion", "completions", "harness"), os.path.join(home, ".bashrc")


def _chosen(shell: str) -> str:
    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in _SHELLS:
        raise UsageError(f"cannot complete in {name or 'an unknown shell'}", hint=f"name one of {', '.join(_SHELLS)}")
    return name


def show(cli: Cli, *, shell: str) -> int:
    return _print(cli, _chosen(shell))


def _print(cli: Cli, name: str) -> int:
    cli.out.stream.write(script(name) + "\n")
    return 0


def install(cli: Cli, *, shell: str) -> int:
    name = _chosen(shell)
    path, reader = place(name, dict(os.environ))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(script(name) + "\n")
        if reader:
            _read_from(reader, path)
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot install completion: {(error.strerror or str(error)).lower()} ({error.filename})",
            hint=f"print it with: harness completion show {name}",
        ) from None
    cli.data({"shell": name, "file": path, "reader": reader}, lambda: [f"wrote {path}"], names=lambda: [path])
    cli.note("open a new shell to use it")
    return 0


def _read_from(reader: str, path: str) -> None:
    """Add one marked line to the shell's start file, unless it is there."""
    line = f'[ -r "{path}" ] && . "{path}"  {_MARK}\n'
    try:
        with open(reader, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    if _MARK in text:
        return
    with open(reader, "a", encoding="utf-8") as file:
        file.write(line if not text or text.endswith("\n") else "\n" + line)


def _printing(shell: str) -> Verb:
    def run(cli: Cli) -> int:
        return _print(cli, shell)

    return Verb(shell, run, "", summary=f"Print the script for {shell}.")


_SHELL = (Argument("shell", "bash, zsh or fish; that of $SHELL without it.", choices=_SHELLS),)

VERBS = (
    Verb(
        "install",
        install,
        "Writes the script and, where the shell needs it, one line to its start file.",
        _SHELL,
        summary="Install completion for the shell in use.",
    ),
    Verb("show", show, "", _SHELL, summary="Print the script."),
    *(_printing(shell) for shell in _SHELLS),
)
