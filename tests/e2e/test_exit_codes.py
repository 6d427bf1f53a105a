"""The exit codes that scripts rely on, each brought about for real."""

from __future__ import annotations

import os

import pytest

from tests.e2e.conftest import Harness

pytestmark = pytest.mark.e2e

UP = "name: shop\nservices: {a: {target: {type: process, shell: exec sleep 1000}}}\n"


def test_0_for_what_went_well(harness: Harness) -> None:
    harness.write("harness.yaml", UP)
    assert harness.run("start").code == 0


def test_1_for_an_operation_that_failed(harness: Harness) -> None:
    harness.write("harness.yaml", "name: shop\nservices: {a: {restart: no, target: {type: process, shell: exit 3}}}\n")
    assert harness.run("start").code == 1


def test_1_for_a_binary_that_does_not_exist_with_what_to_do(harness: Harness) -> None:
    harness.write("harness.yaml", "name: shop\nservices: {a: {target: {type: process, binary: pythn3}}}\n")
    ran = harness.run("start")
    assert ran.code == 1
    assert "pythn3" in ran.err + ran.out
    assert harness.rows()["a"]["restarts"] == 0, "trying again would be useless"


@pytest.mark.parametrize(
    "args",
    [("start", "--nonsense"), ("frobnicate",), ("logs", "a", "--tail", "many"), ("logs", "a", "--grep", "(")],
    ids=lambda args: " ".join(args),
)
def test_2_for_words_that_make_no_sense(harness: Harness, args: tuple[str, ...]) -> None:
    harness.write("harness.yaml", UP)
    harness.ok("start")
    ran = harness.run(*args)
    assert ran.code == 2, ran.err
    assert ran.err.strip()
    assert "Traceback" not in ran.err


BROKEN = {
    "no YAML": "name: [",
    "empty": "",
    "not a mapping": "- a\n- b\n",
    "unknown key": "name: shop\nservices: {a: {targett: {type: process}}}\n",
    "unknown type": "name: shop\nservices: {a: {target: {type: proces, binary: ls}}}\n",
    "cycle": "name: shop\nservices:\n  a: {target: {type: process, shell: x}, dependencies: [b]}\n"
    "  b: {target: {type: process, shell: x}, dependencies: [a]}\n",
    "unknown dependency": "name: shop\nservices: {a: {target: {type: process, shell: x}, dependencies: [bb]}}\n",
    "missing variable": "name: shop\nservices: {a: {target: {type: process, shell: 'echo ${NOPE}'}}}\n",
    "unknown reference": "name: shop\nservices: {a: {target: {type: process, shell: 'echo ${zz.port}'}}}\n",
    "bad name": "name: ../shop\nservices: {a: {target: {type: process, shell: x}}}\n",
    "duplicate key": "name: shop\nname: shop\nservices: {a: {target: {type: process, shell: x}}}\n",
    "bad duration": "name: shop\nservices: {a: {target: {type: process, shell: x}, start_timeout: soon}}\n",
    "python tag": "name: !!python/object/apply:os.system [ls]\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_3_for_a_stack_file_that_is_wrong_and_nothing_is_changed(harness: Harness, what: str) -> None:
    path = harness.write("broken.yaml", "")
    path.write_text(BROKEN[what])
    ran = harness.run("start", "broken.yaml")
    assert ran.code == 3, ran.err
    assert "broken.yaml" in ran.err
    assert "Traceback" not in ran.err + ran.out
    assert harness.run("validate", "broken.yaml").code == 3
    assert harness.ok("status", "-o", "json").json["services"] == []


def test_3_for_a_file_that_is_not_there(harness: Harness) -> None:
    ran = harness.run("start", "harnes.yaml")
    assert ran.code in (2, 3)
    assert "harnes.yaml" in ran.err


def test_4_for_a_token_that_is_not_known(harness: Harness) -> None:
    harness.write("harness.yaml", UP)
    harness.ok("start")
    token = harness.state / "token"
    good = token.read_bytes()
    token.write_bytes(good.strip()[:-4] + b"AAAA\n")
    try:
        assert harness.run("status").code == 4
    finally:
        token.write_bytes(good)


def test_5_when_no_daemon_answers(harness: Harness) -> None:
    assert harness.run("status").code == 5


def test_6_for_a_port_in_other_hands_names_the_holder(harness: Harness) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert harness.run("daemon", "run", "--port", str(port)).code == 6
        harness.write(
            "harness.yaml",
            f"name: shop\nservices:\n  a: {{ports: {{h: {port}}}, restart: no, target: {{type: process, shell: x}}}}\n",
        )
        ran = harness.run("start")
        assert ran.code in (1, 6)
        assert f"port {port} is taken by pid {os.getpid()}" in ran.err + ran.out


def test_7_for_a_name_that_nothing_has_with_what_comes_near(harness: Harness) -> None:
    harness.write("harness.yaml", UP.replace("a:", "server:"))
    harness.ok("start")
    for verb in (("logs",), ("describe",), ("explain",), ("stop", "-y"), ("restart",), ("wait",), ("start",)):
        ran = harness.run(*verb, "sever")
        assert ran.code == 7, f"{verb}: {ran.err}"
        assert "did you mean 'server'" in ran.err


def test_8_when_the_wait_ends_before_the_work(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        "name: shop\nservices: {a: {health_check: {file: never}, target: {type: process, shell: exec sleep 1000}}}\n",
    )
    ran = harness.run("start", "--timeout", "1s")
    assert ran.code == 8, ran.err
    assert harness.run("wait", "a", "--timeout", "300ms").code == 8
    assert harness.rows()["a"]["pid"], "nothing was undone"


def test_exec_and_run_pass_the_code_of_the_command_through(harness: Harness) -> None:
    harness.write(
        "harness.yaml",
        """
        name: shop
        services: {a: {target: {type: process, shell: exec sleep 1000, env: {WHO: me}}}}
        tasks: {t: {target: {type: process, shell: exit 9}}}
        """,
    )
    harness.run("start", "a")
    assert harness.run("exec", "a", "--", "sh", "-c", "exit 42").code == 42
    assert harness.run("exec", "a", "--", "sh", "-c", "echo $WHO; pwd").out.split() == ["me", str(harness.folder)]
    assert harness.run("exec", "a", "--", "no-such-program").code == 125
    assert harness.run("exec", "a", "--", "cat", stdin="through\n").out == "through\n"
    assert harness.run("run", "t").code == 9
