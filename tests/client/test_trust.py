"""Pins are computed without a library, and what is no certificate is said to be none."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509

from harness_core.client import trust
from harness_core.client.locate import Endpoint
from harness_core.domain.errors import NotAllowed
from harness_core.doors.certificates import make_authority, pin_of

NOW = datetime.now(UTC)


def test_the_pin_of_our_own_authority() -> None:
    authority = make_authority(["localhost"], NOW)
    assert trust.pin_of(authority.certificate_pem.decode()) == pin_of(authority.certificate)


def test_the_pin_of_certificates_by_others() -> None:
    for key_type in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        pem = trustme.CA(key_type=key_type).cert_pem.bytes()
        assert trust.pin_of(pem.decode()) == pin_of(x509.load_pem_x509_certificate(pem))


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_pin(pem: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the ssl module words some of them
        trust.pin_of(pem)


def test_a_certificate_cut_short_at_any_byte_has_no_pin() -> None:
    der = ssl.PEM_cert_to_DER_cert(make_authority(["localhost"], NOW).certificate_pem.decode())
    for length in range(0, len(der), 7):
        with pytest.raises(ValueError, match=r"."):
            trust.pin_of(ssl.DER_cert_to_PEM_cert(der[:length]))


def test_an_authority_that_is_not_the_pinned_one_is_named() -> None:
    pem = make_authority(["localhost"], NOW).certificate_pem.decode()
    pin = "B" * 43 + "="
    with pytest.raises(NotAllowed) as caught:
        trust.tls_context(Endpoint("localhost", 1, "", pem, pin))
    assert pin in caught.value.message
    assert trust.pin_of(pem) in caught.value.message
    with pytest.raises(NotAllowed, match="damaged"):
        trust.tls_context(Endpoint("localhost", 1, "", "nonsense"))
