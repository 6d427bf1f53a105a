from __future__ import annotations

import pytest

from harness_core.domain.envfile import EnvFileError, inherited, parse_env_file
from harness_core.domain.substitution import resolve, substitute_environment


def read(text: str) -> dict[str, str]:
    return {found.name: found.template for found in parse_env_file(text)}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A =  b c  ", "b c"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=   ", ""),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A= # comment", ""),
        ("A=#x", ""),
        ("A='b # c'", "b # c"),
        ("A='b' # comment", "b"),
        ("A=''", ""),
        ('A="b\\nc\\t\\"\\\\\\q"', 'b\nc\t"\\q'),
        ('A="one\ntwo"', "one\ntwo"),
        ("A='one\ntwo'", "one\ntwo"),
        ("A=b\r\n", "b"),
        ("A='b'\r\n", "b"),
        ("A=$HOME", "$HOME"),
        ("A=a=b", "a=b"),
        ("A=${B}", "${B}"),
        ('A="${B}"', "${B}"),
        ("A='${B}'", "$${B}"),
        ('A="\\${B} \\$5"', "$${B} $5"),
    ],
)
def test_a_value(line: str, value: str) -> None:
    assert read(line) == {"A": value}


def test_comments_blank_lines_and_order() -> None:
    found = parse_env_file("\n# first\n  # second\nB=1\n\n\tA=2\nB=3\n")
    assert [(a.name, a.template, a.line) for a in found] == [("B", "1", 4), ("A", "2", 6), ("B", "3", 7)]


def test_lines_count_on_after_a_value_of_several_lines() -> None:
    assert [a.line for a in parse_env_file("A='1\n2\n3'\nB=4\n")] == [1, 4]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A=1\nnonsense\n", 2, "not of the form KEY=value"),
        ("1A=x", 1, "not of the form KEY=value"),
        ("=x", 1, "not of the form KEY=value"),
        ("export\n", 1, "not of the form KEY=value"),
        ("\nA='x\n\n", 2, "never closed"),
        ('A="x', 1, "never closed"),
        ("A='x'y", 1, "something follows"),
        ('A="x" y', 1, "something follows"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_without_its_content(text: str, line: int, words: str) -> None:
    with pytest.raises(EnvFileError) as caught:
        parse_env_file(text)
    assert caught.value.line == line
    assert words in caught.value.message
    assert "x" not in caught.value.message.replace("export", "")


def test_what_is_quoted_singly_stays_as_it_is_to_the_end() -> None:
    template = read("A='${B} $${C} $'")["A"]
    value, missing = substitute_environment(template, {})
    assert (resolve(value, lambda u, a: ""), missing) == ("${B} $${C} $", [])


def test_what_a_unit_inherits() -> None:
    env = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "LC_ALL": "C",
        "XDG_RUNTIME_DIR": "/run",
        "TERM": "xterm",
        "DB_PASSWORD": "p",
        "MINE": "${literal}",
        "OTHER": "o",
        "HARNESS_INHERIT": "MINE, ABSENT",
    }
    assert inherited(env) == {
        "PATH": "/bin",
        "HOME": "/home/x",
        "LC_ALL": "C",
        "XDG_RUNTIME_DIR": "/run",
        "MINE": "$${literal}",
    }
    assert inherited({}) == {}
