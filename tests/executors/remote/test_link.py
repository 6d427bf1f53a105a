"""The connection to a machine: whom it trusts, what it says when it cannot be had, and that it comes back."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket

import pytest

from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import ExecRequest, Gone, Marker, Running, StartFailed, Unknown
from harness_core.domain.spec import HostSpec
from tests.executors.remote.conftest import Bench
from tests.sshd import Sshd


async def _refusal(bench: Bench, host: HostSpec | None = None) -> StartFailed:
    spec = bench.spec("true", host=host)
    with pytest.raises(StartFailed) as failed:
        await bench.executor.start(spec)
    # nothing was begun, and nothing is looked for
    assert await bench.executor.recover(spec.marker, None) == Gone()
    return failed.value


def _host(sshd: Sshd, **more: object) -> HostSpec:
    base = {"address": "127.0.0.1", "port": sshd.port, "user": sshd.user, "identity_file": str(sshd.key)}
    return HostSpec.model_validate({**base, "known_hosts": str(sshd.known_hosts), **more})


async def test_a_host_of_the_stack_file_needs_no_configuration(sshd: Sshd, bench: Bench) -> None:
    (sshd.home / ".ssh/config").unlink()
    spec = bench.spec("sh", "-c", "echo here", host=_host(sshd))
    started = await bench.executor.start(spec)
    assert (await bench.executor.wait(spec.marker, started.handle)).success
    assert bench.output() == b"here\n"
    assert started.host == "127.0.0.1"


async def test_through_another_host(sshd: Sshd, bench: Bench) -> None:
    gate = _host(sshd)
    spec = bench.spec("true", host=_host(sshd, jump="gate"))
    spec = type(spec)(spec.marker, spec.options, {}, spec.base_dir, hosts={**spec.hosts, "gate": gate})
    started = await bench.executor.start(spec)
    assert (await bench.executor.wait(spec.marker, started.handle)).success
    assert len(sshd.connections()) == 2


async def test_an_unknown_key_is_refused_with_its_fingerprint(sshd: Sshd, bench: Bench) -> None:
    sshd.known_hosts.write_text("")
    failed = await _refusal(bench)
    assert failed.permanent
    assert "is not known: ssh-ed25519 SHA256:" in failed.message
    assert "ssh box" in failed.hint


async def test_a_changed_key_is_a_hard_stop_with_both_fingerprints(sshd: Sshd, bench: Bench) -> None:
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    failed = await _refusal(bench)
    assert failed.permanent
    assert "has CHANGED" in failed.message
    assert len(re.findall("SHA256:[^ ,]+", failed.message)) == 2


async def test_a_configuration_that_would_trust_everybody_does_not(sshd: Sshd, bench: Bench) -> None:
    config = sshd.home / ".ssh/config"
    lines = config.read_text().replace(str(sshd.known_hosts), "none") + "  StrictHostKeyChecking no\n"
    config.write_text(lines)
    sshd.known_hosts.write_text("")
    assert "is not known" in (await _refusal(bench)).message


async def test_a_refused_login_is_permanent_and_is_not_repeated_for_ever(sshd: Sshd, bench: Bench) -> None:
    keys = sshd.root / "authorized_keys"
    right = keys.read_text()
    keys.write_text("")
    for attempt in range(3):
        failed = await _refusal(bench)
        assert failed.permanent
        assert "refuses the login" in failed.message
        if attempt < 2:
            (machine,) = bench.executor._machines.values()
            machine.link._not_before = 0.0  # as if the short pause were over
    # it would be let in now, but is not asked again: after the third time the pause is long
    keys.write_text(right)
    assert "refuses the login" in (await _refusal(bench)).message


async def test_nobody_listens(sshd: Sshd, bench: Bench) -> None:
    sshd.stop()
    failed = await _refusal(bench)
    assert not failed.permanent
    assert failed.message == "cannot start shop/one: cannot reach box: connection refused"
    sshd.start()


async def test_a_name_that_nobody_knows(sshd: Sshd, bench: Bench) -> None:
    failed = await _refusal(bench, HostSpec(address="no-such-host.invalid"))
    assert "cannot find box" in failed.message


async def test_a_known_hosts_file_that_is_missing_is_named(sshd: Sshd, bench: Bench) -> None:
    failed = await _refusal(bench, _host(sshd, known_hosts="/no/such/file"))
    assert failed.permanent
    assert "cannot read /no/such/file" in failed.message


async def test_one_session_serves_many_and_more_are_refused_by_name(sshd: Sshd, bench: Bench) -> None:
    sshd.stop()
    sshd.start(MaxSessions="1")
    specs = [bench.spec("sh", "-c", f"echo {number}", name=f"n{number}") for number in range(12)]
    handles = await asyncio.gather(*(bench.executor.start(spec) for spec in specs))
    for spec, started in zip(specs, handles, strict=True):
        assert (await bench.executor.wait(spec.marker, started.handle)).success
    assert [bench.output(f"n{number}") for number in range(12)] == [b"%d\n" % number for number in range(12)]
    assert len(sshd.connections()) == 1
    with pytest.raises(ExecNotStarted) as refused:
        await bench.executor.exec(specs[0].marker, handles[0].handle, specs[0], ExecRequest(["true"]))
    assert "MaxSessions" in refused.value.hint


@pytest.fixture(params=["sh", "fish", "tcsh", "noisy"])
def login_shell(request: pytest.FixtureRequest, sshd: Sshd) -> str:
    """What the server runs in place of the user's own login shell."""
    name = str(request.param)
    line = f'{shutil.which(name) or "/bin/sh"} -c "$SSH_ORIGINAL_COMMAND"'
    if name == "noisy":
        line = "echo welcome; echo welcome >&2; " + line
    elif shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    sshd.stop()
    sshd.start(ForceCommand=line)
    return name


async def test_other_login_shells_and_their_noise(login_shell: str, bench: Bench) -> None:
    spec = bench.spec("printf", "%s|", "it's", "!!", "$HOME", "")
    started = await bench.executor.start(spec)
    assert (await bench.executor.wait(spec.marker, started.handle)).success
    assert bench.output() == b"it's|!!|$HOME||"
    session = await bench.executor.exec(
        spec.marker, started.handle, spec, ExecRequest(["printf", "%s|", "!a'\\", "b\n"])
    )
    told = b"".join([data async for stream, data in session.output() if stream == "stdout"])
    assert (await session.wait()).success
    assert told == b"!a'\\|b\n|"


async def test_a_machine_that_never_answers_holds_nobody_for_long(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host = HostSpec(address="127.0.0.1", port=mute.getsockname()[1], known_hosts="/dev/null")
        async with asyncio.timeout(15):
            assert "does not answer" in (await _refusal(bench, host)).message


async def test_what_lives_is_unknown_while_there_is_no_way_to_it(sshd: Sshd, bench: Bench) -> None:
    spec = bench.spec("sleep", "1000")
    started = await bench.executor.start(spec)
    sshd.stop()
    await bench.reaches(lambda: all(life.trouble for life in bench.executor._lives.values()))
    found = await bench.executor.recover(spec.marker, started.handle)
    assert isinstance(found, Unknown)
    assert found.reason
    report = await bench.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=0.0)
    assert report.leftovers
    sshd.start()
    async with asyncio.timeout(20):
        while not isinstance(await bench.executor.recover(spec.marker, started.handle), Running):
            await asyncio.sleep(0.1)
    report = await bench.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5.0)
    assert report.leftovers == ()
    assert report.exit is not None
    assert report.exit.signal == signal.SIGTERM


async def test_a_disk_that_cannot_be_written_is_told(sshd: Sshd, bench: Bench) -> None:
    where = sshd.state / "harness/runs/tests/shop"
    where.parent.mkdir(parents=True)
    where.touch()
    failed = await _refusal(bench)
    assert not failed.permanent
    assert "on box: " in failed.message


async def test_nothing_is_known_of_a_life_that_never_was(bench: Bench) -> None:
    assert await bench.executor.recover(Marker("shop", "never", 4), None) == Gone()
