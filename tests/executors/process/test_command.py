"""From options to a command, without any process."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from executors.process.command import candidates, command_of
from executors.process.options import ProcessOptions

BASE = Path("/stack")


def test_arguments_stay_as_they_are() -> None:
    words = ["a b", "$HOME", "'; rm -rf /", "", "*", "ü\n"]
    command = command_of(ProcessOptions(binary="tool", args=words), BASE, {})
    assert command.argv == ("tool", *words)
    assert command.cwd == BASE


def test_shell_is_the_only_way_to_a_shell() -> None:
    command = command_of(ProcessOptions(shell="echo $A | cat"), BASE, {})
    assert command.argv == ("/bin/sh", "-c", "echo $A | cat")


def test_the_target_s_own_environment_wins() -> None:
    command = command_of(ProcessOptions(binary="x", env={"A": 1, "B": "2"}), BASE, {"A": "0", "C": "3"})
    assert command.env == {"A": "1", "B": "2", "C": "3"}


def test_paths_are_meant_from_the_stack_file_and_home() -> None:
    options = ProcessOptions(binary="~/bin/x", working_dir="../api", stdin="in.txt")
    command = command_of(options, BASE, {"HOME": "/home/u"})
    assert (command.program, command.cwd, command.stdin) == ("/home/u/bin/x", Path("/api"), Path("/api/in.txt"))


def test_where_a_program_is_looked_for() -> None:
    named = command_of(ProcessOptions(binary="x", working_dir="w"), BASE, {"PATH": "/b:rel::/b"})
    assert candidates(named) == [Path("/b/x"), Path("/stack/w/rel/x"), Path("/stack/w/x")]
    written = command_of(ProcessOptions(binary="./x", working_dir="w"), BASE, {})
    assert candidates(written) == [Path("/stack/w/x"), Path("/stack/x")]


def test_numbers_in_yaml_are_words() -> None:
    assert ProcessOptions(binary="x", args=[8080, 1.5]).args == ["8080", "1.5"]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either binary (with args) or shell"),
        ({"binary": "a", "shell": "b"}, "either binary (with args) or shell"),
        ({"shell": "a", "args": ["b"]}, "put them into the shell line"),
        ({"binary": ""}, "at least 1 character"),
        ({"binary": "a", "umask": 27}, "write the umask in quotes: '027'"),
        ({"binary": "a", "umask": "9"}, "is not a umask"),
        ({"binary": "a", "comand": "b"}, "Extra inputs are not permitted"),
        ({"binary": "a", "args": [True]}, "valid string"),
        ({"binary": "a", "success_exit_codes": [256]}, "less than or equal to 255"),
    ],
)
def test_what_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProcessOptions.model_validate(given)
    assert said in str(caught.value)


def test_a_umask_is_octal() -> None:
    assert ProcessOptions(binary="x", umask="027").umask == 0o027  # type: ignore[arg-type]
