"""supervisord.conf: programs, their copies and order, what is included, and what has no counterpart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.importers.kit import imported, lost, mistakes, stack, unit

KEYS: list[tuple[str, dict[str, Any]]] = [
    ("directory=/srv/app", {"target": {"working_dir": "/srv/app"}}),
    (
        "environment=A=\"1, 2\",B=x%%y,C='%(ENV_HOME)s/c'",
        {"target": {"env": {"A": "1, 2", "B": "x%y", "C": "${HOME}/c"}}},
    ),
    ("umask=022", {"target": {"umask": "022"}}),
    ("exitcodes=0,2", {"target": {"success_exit_codes": [0, 2]}}),
    ("autostart=false", {"profiles": ["manual"]}),
    ("autorestart=true", {"restart": {"policy": "always"}}),
    ("autorestart=false", {"restart": {"policy": "no"}}),
    ("autorestart=unexpected", {}),
    ("startretries=5", {"restart": {"burst": 6, "window": "60s"}}),
    ("user=www-data", {"user": "www-data"}),
    ("stopsignal=QUIT\nstopwaitsecs=30", {"stop": {"signal": "QUIT", "timeout": "30s"}}),
    ("stdout_logfile_maxbytes=5MB\nstderr_logfile_maxbytes=1KB", {"logs": {"max_size": "5MiB"}}),
    ("stdout_logfile_maxbytes=0\nstdout_logfile_backups=0", {"logs": {"max_files": 2}}),
    ("stopasgroup=true\nkillasgroup=true", {}),
]


@pytest.mark.parametrize(("lines", "expected"), KEYS, ids=lambda value: str(value).partition("=")[0])
def test_keys(lines: str, expected: dict[str, Any]) -> None:
    target = {"type": "process", "binary": "cat", "args": ["-u"], **expected.get("target", {})}
    assert unit("supervisord", f"[program:x]\ncommand=cat -u\n{lines}\n") == {**expected, "target": target}


COMMANDS: list[tuple[str, list[str]]] = [
    ("/usr/bin/python3 -c 'print(1)' \"a b\"", ["/usr/bin/python3", "-c", "print(1)", "a b"]),
    ("bash -c 'echo ${HOME}'", ["bash", "-c", "echo $${HOME}"]),
    ("%(here)s/run %(program_name)s %(ENV_LEVEL)s", ["./run", "x", "${LEVEL}"]),
    ("cat ; a remark", ["cat"]),
    ("run --a \\\n  --b", ["run", "--a", "\n--b"]),
    ("run\n  --b", ["run", "--b"]),
]


@pytest.mark.parametrize(("command", "words"), COMMANDS)
def test_commands_are_split_without_a_shell(command: str, words: list[str]) -> None:
    target = unit("supervisord", f"[program:x]\ncommand={command}\n")["target"]
    assert [target["binary"], *target.get("args", [])] == words


def test_copies_are_written_out() -> None:
    text = "[program:w]\ncommand=work --number %(process_num)d\nnumprocs=2\nnumprocs_start=1\n"
    services = stack(imported("supervisord", {"file": text}))["services"]
    assert {name: service["target"]["args"][1] for name, service in services.items()} == {"w_01": "1", "w_02": "2"}
    assert mistakes("supervisord", "[program:w]\ncommand=x\nnumprocs=101\n") == [
        "1:1: [program:w].numprocs: more than 100 copies are not written out"
    ]


def test_priorities_become_dependencies() -> None:
    text = "".join(
        f"[program:{name}]\ncommand=cat\npriority={priority}\n{more}\n"
        for name, priority, more in (("db", 1, ""), ("cache", 1, ""), ("off", 1, "autostart=no"), ("web", 5, ""))
    )
    services = stack(imported("supervisord", {"file": text}))["services"]
    assert services["web"]["dependencies"] == [
        {"service": "db", "condition": "started", "required": False},
        {"service": "cache", "condition": "started", "required": False},
    ]
    assert "dependencies" not in services["db"]


def test_included_files_are_read() -> None:
    folder = {
        "supervisord.conf": "[supervisord]\nenvironment=A=1\n[include]\nfiles = conf.d/*.conf none/*.conf\n",
        "conf.d/a.conf": "[program:a]\ncommand=cat\n",
        "conf.d/b.conf": "[program:b]\ncommand=cat\nserverurl=AUTO\n",
    }
    made = imported(None, folder)
    assert list(stack(made)["services"]) == ["a", "b"]
    assert stack(made)["settings"] == {"env": {"A": "1"}}
    assert lost(made) == {"[include] none/*.conf": 4, "[program:b].serverurl": 3}
    assert {one.spot.file for one in made.lost} == {"supervisord.conf", "conf.d/b.conf"}


def test_groups_are_labels() -> None:
    text = "[program:a]\ncommand=cat\n[group:both]\nprograms=a\npriority=2\n"
    made = imported("supervisord", {"file": text})
    assert stack(made)["services"]["a"]["labels"] == {"group": "both"}
    assert lost(made) == {"[group:both].priority": 5}


def test_what_has_no_counterpart_is_told_with_its_line() -> None:
    text = """[unix_http_server]
file=/tmp/x.sock
[supervisord]
logfile=/tmp/x.log
[program:x]
command=cat
startsecs=10
stdout_logfile=/var/log/x.log
stdout_syslog=true
redirect_stderr=true
strange=1
[eventlistener:e]
command=x
[rpcinterface:supervisor]
[fcgi-program:f]
[whatever]
"""
    made = imported("supervisord", {"file": text})
    assert lost(made) == {
        "[unix_http_server]": 1,
        "[supervisord].logfile": 4,
        "[program:x].startsecs": 7,
        "[program:x].stdout_logfile": 8,
        "[program:x].stdout_syslog": 9,
        "[program:x].redirect_stderr": 10,
        "[program:x].strange": 11,
        "[eventlistener:e]": 12,
        "[rpcinterface:supervisor]": 14,
        "[fcgi-program:f]": 15,
        "[whatever]": 16,
    }
    assert "file:16:1: [whatever]" in made.text, "the file itself tells it as well"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command=x\n[program:x]\ncommand=cat", "1:1: something stands before the first [section]"),
        ("[program:x]\nnonsense\ncommand=cat", "2:1: this is neither a [section] nor of the form key=value"),
        ("[program:x]\nautostart=true", "1:1: [program:x] has no command"),
        ("[program:x]\ncommand=cat 'a", "1:1: [program:x].command: no closing quotation"),
        ("[program:x]\ncommand=cat %(nothing)s", "1:1: nothing is known of %(nothing)s"),
        ("[program:x]\ncommand=cat\nautostart=maybe", "3:1: [program:x].autostart must be true or false"),
        ("[program:x]\ncommand=cat\nstopwaitsecs=long", "3:1: [program:x].stopwaitsecs must be a number"),
        ("[program:x]\ncommand=cat\n[group:g]\nprograms=y", "3:1: [group:g] names y, which is no program here"),
        ("[supervisord]\n", "1:1: there is no [program:…] in it"),
    ],
)
def test_mistakes_have_their_place(text: str, said: str) -> None:
    assert mistakes("supervisord", text) == [said]
