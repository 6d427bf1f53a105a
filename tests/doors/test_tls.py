"""Certificates: what is in them, when they are replaced, and that damage heals without losing the pin."""

from __future__ import annotations

import asyncio
import ssl
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from harness_core.client import fast, trust
from harness_core.client.locate import Endpoint
from harness_core.domain.errors import HarnessError, NotAllowed, UsageError
from harness_core.doors.certificates import issue_leaf, leaf_problem, load_pair, make_authority
from harness_core.doors.private import write_private
from harness_core.doors.tls import Certificates

from .conftest import House, open_house
from .wire import http, request

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ["127.0.0.1", "::1", "localhost"]


def opened(state: Path, *names: str, now: datetime = NOW) -> Certificates:
    certificates = Certificates(state, names, clock=lambda: now)
    certificates.open()
    return certificates


def leaf_of(state: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((state / "tls" / "leaf.pem").read_bytes())


def test_what_is_made(tmp_path: Path) -> None:
    certificates = opened(tmp_path)
    folder = tmp_path / "tls"
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem", "leaf.key", "leaf.pem"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    authority = x509.load_pem_x509_certificate(certificates.ca_pem)
    assert isinstance(authority.public_key(), ec.EllipticCurvePublicKey)
    assert authority.not_valid_after_utc - NOW == timedelta(days=3650)
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert authority.extensions.get_extension_for_class(x509.NameConstraints).critical
    leaf = leaf_of(tmp_path)
    assert leaf.not_valid_after_utc - NOW == timedelta(days=90)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).critical
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose.dotted_string for purpose in usage] == ["1.3.6.1.5.5.7.3.1"]
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert set(NAMES) <= set(certificates.status()["subject_names"])
    assert len(certificates.pin) == 44
    assert certificates.problems == []


def test_openssl_accepts_the_chain_strictly(tmp_path: Path) -> None:
    opened(tmp_path)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"]
    command += ["-CAfile", "ca.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path / "tls", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_client_computes_the_same_pin(tmp_path: Path) -> None:
    certificates = opened(tmp_path)
    assert trust.pin_of(certificates.ca_pem.decode()) == certificates.pin


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    opened(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    opened(tmp_path, now=NOW + timedelta(days=59))
    assert {path.name: path.read_bytes() for path in (tmp_path / "tls").iterdir()} == before


@pytest.mark.parametrize("days", [60, 89, 91, 400])
def test_an_old_leaf_is_replaced_at_the_start(tmp_path: Path, days: int) -> None:
    pin, before = opened(tmp_path).pin, leaf_of(tmp_path)
    certificates = opened(tmp_path, now=NOW + timedelta(days=days))
    assert leaf_of(tmp_path).serial_number != before.serial_number
    assert certificates.pin == pin
    assert certificates.problems == []


def test_a_leaf_is_renewed_while_it_is_served(tmp_path: Path) -> None:
    now = [NOW]
    certificates = Certificates(tmp_path, clock=lambda: now[0])
    certificates.open()
    before, context = leaf_of(tmp_path), certificates.context
    now[0] += timedelta(days=59)
    assert not certificates.renew()
    now[0] += timedelta(days=1)
    assert certificates.renew()
    assert leaf_of(tmp_path) != before
    assert certificates.context is context
    assert certificates.expires == leaf_of(tmp_path).not_valid_after_utc.timestamp()


def test_a_leaf_from_the_future_is_replaced(tmp_path: Path) -> None:
    opened(tmp_path, now=NOW + timedelta(days=10))
    opened(tmp_path)
    assert leaf_of(tmp_path).not_valid_before_utc < NOW


def test_other_names_keep_the_pin(tmp_path: Path) -> None:
    pin = opened(tmp_path).pin
    certificates = opened(tmp_path, "box.example", "10.0.0.7")
    assert certificates.pin == pin
    assert {"box.example", "10.0.0.7"} <= set(certificates.status()["subject_names"])
    authority = x509.load_pem_x509_certificate(certificates.ca_pem)
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()
    assert "box.example" in {str(name.value) for name in permitted}


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 64 + ".example", "http://box", "*.example", "a/../b"])
def test_a_name_that_cannot_be_served(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="neither an address nor a host name"):
        Certificates(tmp_path, [name])


def test_an_authority_about_to_end_is_replaced_and_told(tmp_path: Path) -> None:
    pin = opened(tmp_path).pin
    certificates = opened(tmp_path, now=NOW + timedelta(days=3600))
    assert certificates.pin != pin
    assert "new pin" in certificates.problems[0]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = make_authority(NAMES, NOW)
    pair = other if path.name.startswith("ca") else issue_leaf(other, NAMES, NOW)
    path.write_bytes(pair.key_pem if path.suffix == ".key" else pair.certificate_pem)


@pytest.mark.parametrize("damage", [truncated, emptied, removed, replaced])
@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "leaf.pem", "leaf.key"])
def test_damage_is_repaired_kept_and_told(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    pin = opened(tmp_path).pin
    damage(tmp_path / "tls" / name)
    certificates = opened(tmp_path)
    assert (certificates.pin == pin) == name.startswith("leaf")
    assert certificates.problems
    kept = [path for path in (tmp_path / "tls").iterdir() if "damaged" in path.name]
    assert kept
    assert leaf_problem(load(tmp_path, "leaf"), load(tmp_path, "ca"), certificates.names, NOW) == ""
    assert opened(tmp_path).problems == []


def load(state: Path, stem: str):  # type: ignore[no-untyped-def] # a helper of two lines
    return load_pair((state / "tls" / f"{stem}.pem").read_bytes(), (state / "tls" / f"{stem}.key").read_bytes())


def test_links_in_place_of_keys_are_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    key = tmp_path / "tls" / "ca.key"
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAllowed, match="it is a link"):
        opened(tmp_path)


def ask(endpoint: Endpoint) -> object:
    return fast.call(endpoint, "echo", timeout=5)


async def test_a_new_leaf_is_served_without_a_restart(house: House) -> None:
    async def served() -> bytes:
        context = trust.tls_context(house.endpoint)
        _, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context, server_hostname="127.0.0.1")
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.transport.abort()
        return found

    before = await served()
    assert await served() == before
    _, _, body = await http(house, request("cert.rotate"))
    assert body["result"]["renewed"] is True
    after = await served()
    assert after != before
    assert after == ssl.PEM_cert_to_DER_cert((house.state_dir / "tls" / "leaf.pem").read_text())
    _, _, body = await http(house, request("cert.status"))
    assert body["result"]["pin"] == house.doors.pin


async def test_another_daemon_is_not_believed(tmp_path: Path) -> None:
    async with open_house(tmp_path / "one") as one, open_house(tmp_path / "two") as two:
        impostor = one.endpoint._replace(port=two.port)
        with pytest.raises(NotAllowed) as caught:
            await asyncio.to_thread(ask, impostor)
        assert one.doors.pin in caught.value.message
        assert two.doors.pin in caught.value.message
        with pytest.raises(NotAllowed, match="not the daemon you know") as caught:
            await asyncio.to_thread(ask, impostor._replace(ca="", pin=one.doors.pin))
        assert caught.value.data == {"expected": one.doors.pin, "found": two.doors.pin}


async def serve_leaf(house: House, names: list[str], now: datetime) -> None:
    """Put another leaf of the same authority under the running doors."""
    authority = load(house.state_dir, "ca")
    leaf = issue_leaf(authority, names, now)
    folder = house.state_dir / "tls"
    write_private(folder / "leaf.key", leaf.key_pem)
    write_private(folder / "leaf.pem", leaf.certificate_pem)
    house.doors.certificates.context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")


@pytest.mark.parametrize(
    ("names", "shift", "said"),
    [
        (NAMES, timedelta(days=-91), "expired"),
        (NAMES, timedelta(days=1), "not yet valid"),
        (["localhost"], timedelta(), "other names"),
        (["evil.example"], timedelta(), "cannot trust"),
    ],
)
async def test_leaves_that_are_not_to_be_trusted(house: House, names: list[str], shift: timedelta, said: str) -> None:
    await serve_leaf(house, names, NOW + shift)
    with pytest.raises(HarnessError, match=said) as caught:
        await asyncio.to_thread(ask, house.endpoint)
    assert isinstance(caught.value, NotAllowed)
    assert caught.value.hint
