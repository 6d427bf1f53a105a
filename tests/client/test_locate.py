"""Where the daemon is: directories, its card, connection strings."""

from __future__ import annotations

import json
from pathlib import Path

import platformdirs
import pytest

from harness_core.client import locate
from harness_core.domain.errors import DaemonUnreachable, NotFound, UsageError

PIN = "A" * 43 + "="
TOKEN = "hns_aaaaaaaa_" + "b" * 43


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HARNESS_STATE_DIR", "HARNESS_CONFIG_DIR", "HARNESS_CONTEXT", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("home", ["/home/somebody", "/", "relative", "", None])
@pytest.mark.parametrize("xdg", ["/elsewhere", "relative", "", None])
def test_directories_are_those_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, home: str | None, xdg: str | None
) -> None:
    for name, value in (("HOME", home), ("XDG_STATE_HOME", xdg), ("XDG_CONFIG_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert locate.state_dir() == platformdirs.user_state_dir("harness")
    assert locate.config_dir() == platformdirs.user_config_dir("harness")


def test_variables_override_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STATE_DIR", "here")
    monkeypatch.setenv("HARNESS_CONFIG_DIR", "~/there")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert locate.state_dir() == str(tmp_path / "here")
    assert locate.config_dir() == "/home/somebody/there"


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"url": 5}', "\x00"])
def test_without_a_usable_card_there_is_no_daemon(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "daemon.json").write_text(content)
    with pytest.raises(DaemonUnreachable) as caught:
        locate.local_endpoint(str(tmp_path))
    assert caught.value.hint == "harness daemon start"


def test_the_local_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "daemon.json").write_text(json.dumps({"url": "https://[::1]:9443", "pid": 1}))
    with pytest.raises(DaemonUnreachable, match="token cannot be read"):
        locate.local_endpoint(str(tmp_path))
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("PEM")
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path))
    found = locate.find()
    assert found == locate.Endpoint("::1", 9443, TOKEN, "PEM", state_dir=str(tmp_path))
    assert found.url == "https://[::1]:9443"
    assert locate.find("local") == found


def test_connection_strings() -> None:
    found = locate.parse_address(f"harness://box.example:9443/#h1.{PIN}.{TOKEN}")
    assert found == locate.Endpoint("box.example", 9443, TOKEN, pin=PIN)
    assert locate.find(f"harness://10.0.0.7:1/#h1.{PIN}.{TOKEN}").url == "https://10.0.0.7:1"
    assert locate.parse_address(f"harness://[::1]:9443/#h1.{PIN}.{TOKEN}").host == "::1"


@pytest.mark.parametrize(
    "address",
    [
        "harness://box:9443/",
        "https://box:9443/#h1." + PIN + "." + TOKEN,
        f"harness://box:9443/#h2.{PIN}.{TOKEN}",
        f"harness://box:9443/#h1.{PIN[:-1]}.{TOKEN}",
        f"harness://box:9443/#h1.{PIN}.token",
        f"harness://box/#h1.{PIN}.{TOKEN}",
        f"harness://:9443/#h1.{PIN}.{TOKEN}",
        f"harness://box:0/#h1.{PIN}.{TOKEN}",
        f"harness://box:99999/#h1.{PIN}.{TOKEN}",
        "",
    ],
)
def test_what_is_no_connection_string(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        locate.parse_address(address)
    assert TOKEN not in caught.value.message


def test_which_context_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path))
    assert locate.is_local()
    assert locate.is_local("local")
    monkeypatch.setenv("HARNESS_CONTEXT", "box")
    assert not locate.is_local()
    assert locate.is_local("local")
    with pytest.raises(NotFound, match="no context is called 'box'"):
        locate.find()
