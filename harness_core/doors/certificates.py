"""How the daemon's certificates are made and judged: pure functions from names and times to PEM, no files.

One authority for ten years, whose public key clients pin; one leaf for ninety days, replaced long before it ends. The
authority may only vouch for the names that are served, so that importing it somewhere opens nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "Pair",
    "canonical_name",
    "issue_leaf",
    "leaf_problem",
    "load_pair",
    "make_authority",
    "pin_of",
    "reissue_authority",
]

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
#: a leaf is replaced after this long …
LEAF_RENEWAL_AGE = timedelta(days=60)
#: … or when less than this is left, whichever comes first
LEAF_RENEWAL_LEFT = timedelta(days=30)
#: clocks differ: a certificate is valid from a little before it was made
_SKEW = timedelta(hours=1)

_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def names(self) -> list[str]:
        """The names and addresses that the certificate is good for, sorted."""
        extension = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return sorted(str(name.value) for name in extension.value)


def load_pair(certificate_pem: bytes, key_pem: bytes) -> Pair:
    """Read a pair back. Raises ``ValueError`` when either is damaged or they do not belong together."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not an elliptic curve key")
    if certificate.public_key() != key.public_key():
        raise ValueError("the key does not belong to the certificate")
    return Pair(certificate, key)


def pin_of(certificate: x509.Certificate) -> str:
    """What clients pin: base64 of the SHA-256 of the SubjectPublicKeyInfo, 44 characters."""
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def make_authority(names: list[str], now: datetime) -> Pair:
    """A new authority with a new key, limited to ``names``."""
    return reissue_authority(ec.generate_private_key(ec.SECP256R1()), names, now)


def reissue_authority(key: ec.EllipticCurvePrivateKey, names: list[str], now: datetime) -> Pair:
    """The authority's certificate for an existing key: other names, the same pin."""
    public = key.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "harness daemon authority")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.NameConstraints([_constraint(name) for name in names], None), critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue_leaf(authority: Pair, names: list[str], now: datetime) -> Pair:
    """A leaf for ``names`` with a fresh key, signed by the authority and never outliving it."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = authority.certificate.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "harness daemon")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + LEAF_LIFE, authority.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def leaf_problem(leaf: Pair, authority: Pair, names: list[str], now: datetime) -> str:
    """Why the leaf must be replaced, in words; "" when it is good."""
    certificate = leaf.certificate
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return "it was not signed by this daemon's authority"
    if now < certificate.not_valid_before_utc:
        return "it is not valid yet: a clock was changed"
    if now >= certificate.not_valid_after_utc:
        return "it has expired"
    if leaf.names != sorted(names):
        return "the names to be served have changed"
    age, left = now - certificate.not_valid_before_utc, certificate.not_valid_after_utc - now
    if age >= LEAF_RENEWAL_AGE or left < LEAF_RENEWAL_LEFT:
        return "it is due for renewal"
    return ""


def canonical_name(name: str) -> str | None:
    """The one spelling of an address or host name that can stand in a certificate; ``None`` for anything else."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower() if _DNS_NAME.fullmatch(name.lower()) else None


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _constraint(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name))
    except ValueError:
        return x509.DNSName(name)
