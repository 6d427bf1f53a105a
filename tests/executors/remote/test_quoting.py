"""Whatever bytes a word holds, it arrives exact through one, two and three layers, whichever shells read them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_core.domain.layers import Command, line, local, portable

#: what shells read as something else, more often than chance would have it
_SPECIAL = [" ", "'", '"', "\n", "\t", "\\", "$(id)", "`id`", "${HOME}", "!", "!!", "*", "?", "[a]", "~", "#", "&", ";"]
_SPECIAL += ["|", "<", ">", "(", ")", "{", "}", "-", "--", "=", "%s", "%", "^", "\r", "\x01", "\x81", "\x88", "\x7f"]
_SPECIAL += ["ü", "✓", "\udcff", "\udc81", "\\n", "\\0", "\\c", "\\'", "{}", "a=b"]
#: the bytes that are not UTF-8 come as surrogates; those that are together would be read back as the character
_WORD = st.lists(st.sampled_from(_SPECIAL) | st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(
    lambda parts: os.fsdecode(os.fsencode("".join(parts)))
)
_SHELLS = {"dash": ["dash"], "busybox": ["busybox", "ash"], "bash": ["bash"]}
#: a program that tells its arguments, and one variable, with a NUL byte behind each
_TELL = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import os,sys;os.write(1,b'\\0'.join(map(os.fsencode,[*sys.argv[1:],os.environ['MINE']])))",
)


@pytest.fixture(params=_SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """A shell as the login shell, and the same one as ``sh``: its command line and a PATH."""
    name = str(request.param)
    argv = _SHELLS[name]
    program = shutil.which(argv[0])
    if program is None:
        pytest.skip(f"needs {argv[0]}")
    folder = tmp_path_factory.mktemp(name)
    Path(folder, "sh").symlink_to(program)  # busybox is the applet by whose name it is called
    return [program, *argv[1:]], f"{folder}:{os.environ['PATH']}"


def _through(command: Command, layers: int) -> Command:
    """So many further machines: each layer's argument vector is run by the one outside of it."""
    for _ in range(layers - 1):
        command = Command(("sh", "-c", portable(line(command))))
    return command


@settings(max_examples=25, deadline=None)
@given(words=st.lists(_WORD, max_size=4), value=_WORD, layers=st.integers(1, 3))
def _arrives(shell: tuple[list[str], str], words: list[str], value: str, layers: int) -> None:
    argv, path = shell
    command = _through(Command((*_TELL, *words), {"MINE": value}, "/"), layers)
    said = subprocess.run([*argv, "-c", portable(line(command))], capture_output=True, env={"PATH": path}, timeout=30)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split(b"\0") == [os.fsencode(word) for word in (*words, value)]


def test_every_word_arrives(shell: tuple[list[str], str]) -> None:
    _arrives(shell)


@pytest.mark.parametrize("name", ["fish", "tcsh"])
def test_other_login_shells_pass_it_on(name: str) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"needs {name}")
    words = ["", "!!", "it's\n", "\\'", "$(id)", "~", "ü"]
    command = _through(Command((*_TELL, *words), {"MINE": "\udcff"}), 2)
    said = subprocess.run([program, "-c", portable(line(command))], capture_output=True, timeout=30)
    assert said.stdout.split(b"\0") == [*map(os.fsencode, words), b"\xff"], said.stderr


def test_a_local_command_brings_its_surroundings(tmp_path: Path) -> None:
    command = local(Command(("sh", "-c", 'printf "%s|" "$PWD" "$A"'), {"A": "it's"}, str(tmp_path)))
    assert subprocess.run(command.argv, capture_output=True, check=True).stdout == f"{tmp_path}|it's|".encode()
