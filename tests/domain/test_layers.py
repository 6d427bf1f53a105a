"""Commands and their layers as values; real shells read them in ``tests/executors/remote/test_quoting.py``."""

from __future__ import annotations

import pytest

from harness_core.domain.layers import Command, docker_exec, line, local, portable, quote, ssh


def test_a_word_is_quoted_so_that_it_is_one_word() -> None:
    assert quote("") == "''"
    assert quote("it's $HOME") == "'it'\\''s $HOME'"


def test_a_line_changes_the_directory_sets_the_environment_and_becomes_the_program() -> None:
    assert line(Command(("a", "b c"), {"N": "v'"}, "/d")) == "CDPATH= cd '/d' && export N='v'\\''' && exec 'a' 'b c'"
    assert line(Command(("-a",), cwd="-")) == "CDPATH= cd './-' && '-a'"


def test_a_portable_line_holds_nothing_that_a_login_shell_could_misread() -> None:
    said = portable("a 'b'\n!\udcff\\")
    assert said == "exec sh -c 'eval \"$(printf %b \"$0\")\"' 'a \\0047b\\0047\\0012\\0041\\0377\\0134'"


def test_layers_nest() -> None:
    inner = docker_exec(Command(("ls", "-l"), {"A": "b"}, "/w"), "db")
    assert inner.argv == ("docker", "exec", "--interactive", "--env", "A=b", "--workdir", "/w", "db", "ls", "-l")
    outer = ssh(inner, "box", ("-p", "2222"))
    assert outer.argv == ("ssh", "-p", "2222", "--", "box", portable(line(inner)))
    assert docker_exec(Command(("x",)), "db").argv == ("docker", "exec", "--interactive", "db", "x")


def test_on_the_machine_itself_a_plain_command_stays_what_it_is() -> None:
    plain = Command(("x", "y"))
    assert local(plain) is plain
    assert local(Command(("x",), cwd="/d")).argv == ("sh", "-c", "CDPATH= cd '/d' && exec 'x'")
    assert local(Command(("x",), {"A": ""})).argv == ("sh", "-c", "export A='' && exec 'x'")


@pytest.mark.parametrize("broken", [{"argv": ()}, {"argv": ("a\0",)}, {"argv": ("a",), "env": {"a.b": ""}}])
def test_what_no_system_can_run_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"command|NUL|environment"):
        Command(**broken)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "-oProxyCommand=x"])
def test_a_name_that_reads_as_an_option_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="host"):
        ssh(Command(("x",)), name)
    with pytest.raises(ValueError, match="container"):
        docker_exec(Command(("x",)), name)
