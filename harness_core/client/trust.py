"""How the client knows that it talks to its own daemon: TLS 1.3, one authority, its pin, the name. No way around it."""

from __future__ import annotations

import socket
import ssl

from harness_core.client.endpoint import Endpoint
from harness_core.domain.errors import DaemonUnreachable, HarnessError, NotAllowed

__all__ = ["ascii_host", "authority_of", "fetch_authority", "is_outdated", "pin_of", "tls_context", "tls_error"]

_AUTHORITY_PATH = "/.well-known/harness-ca"
_MAX_PEM = 64 << 10


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """A context that accepts this daemon and nobody else. ``endpoint.ca`` must be known.

    Raises ``NotAllowed`` when the authority is not the pinned one, or is no certificate.
    """
    try:
        found = pin_of(endpoint.ca) if endpoint.pin else ""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and name
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=endpoint.ca)
    except (ValueError, ssl.SSLError) as error:
        raise NotAllowed(
            f"cannot trust {endpoint.url}: its authority's certificate is damaged ({error})",
            hint="restart the daemon: it makes a new one" if endpoint.state_dir else "add the context again",
        ) from None
    if found != endpoint.pin:
        raise _changed(endpoint, found)
    return context


def ascii_host(host: str) -> bytes | str:
    """The host as the socket and ssl modules take it without importing the codec for international names (2 ms)."""
    return host.encode() if host.isascii() else host


def authority_of(endpoint: Endpoint, timeout: float) -> Endpoint:
    """The endpoint with the authority's certificate as the daemon hands it out, compared with the pin.

    Nothing secret is sent before the comparison. Raises ``NotAllowed`` when the pin differs.
    """
    pem = fetch_authority(endpoint, timeout)
    try:
        found = pin_of(pem)
    except ValueError:
        raise NotAllowed(f"cannot trust {endpoint.url}: it is no harness daemon") from None
    if found != endpoint.pin:
        raise _changed(endpoint, found)
    return endpoint._replace(ca=pem)


def fetch_authority(endpoint: Endpoint, timeout: float) -> str:
    """What the daemon says its authority is: worth nothing until it was compared with a pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    request = f"GET {_AUTHORITY_PATH} HTTP/1.1\r\nHost: {host}:{endpoint.port}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as sock,
        ):
            sock.sendall(request.encode())
            while len(answer) < _MAX_PEM and (data := sock.recv(65536)):
                answer += data
    except ssl.SSLError as error:
        raise tls_error(endpoint, error) from None
    except OSError as error:
        raise DaemonUnreachable(f"cannot reach {endpoint.url}: {_why(error)}", hint="is the daemon running?") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode("ascii", "replace") if head.startswith(b"HTTP/1.1 200") else ""


def is_outdated(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> bool:
    """Whether a saved context's copy of the authority may just be old: a name is not permitted by it
    (X509_V_ERR_PERMITTED_VIOLATION)."""
    return bool(endpoint.pin) and error.verify_code == 47


def tls_error(endpoint: Endpoint, error: ssl.SSLError, timeout: float = 2.0) -> HarnessError:
    """A failed handshake as an error that says what to do; for one that concerns the authority, with both pins."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        if error.reason in (
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
            "UNEXPECTED_EOF_WHILE_READING",
            "RECORD_LAYER_FAILURE",
        ):
            return DaemonUnreachable(
                f"cannot reach the daemon at {endpoint.url}: what answers there does not speak TLS",
                hint="another program may have taken the port: harness daemon status",
            )
        return NotAllowed(f"cannot trust {endpoint.url}: the TLS handshake failed ({error.reason or error})")
    reason = error.verify_message
    # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED, …_HOSTNAME_MISMATCH, …_IP_ADDRESS_MISMATCH
    if error.verify_code in (9, 10):
        return NotAllowed(
            f"cannot trust {endpoint.url}: {reason.lower()}",
            hint="compare the clocks of both machines; on the daemon's: harness cert rotate, or restart it",
        )
    if error.verify_code in (62, 64):
        return NotAllowed(
            f"cannot trust {endpoint.url}: its certificate is for other names ({reason.lower()})",
            hint=f"start that daemon with the name: harness daemon run --name {endpoint.host}",
        )
    try:
        presented = pin_of(fetch_authority(endpoint._replace(token=""), timeout))
    except (HarnessError, ValueError):
        return NotAllowed(f"cannot trust {endpoint.url}: {reason.lower()}", hint="is it the daemon that you mean?")
    return _changed(endpoint, presented)


def pin_of(pem: str) -> str:
    """Base64 of the SHA-256 of a certificate's SubjectPublicKeyInfo. Raises ``ValueError`` for anything else."""
    import base64  # the local daemon's authority is read from its own file and needs no pin
    import hashlib

    der = ssl.PEM_cert_to_DER_cert(pem)
    try:
        certificate, _ = _element(der, 0)
        fields, _ = _element(der, certificate[0])
        position = fields[0]
        if der[position] == 0xA0:  # the version, which only old certificates leave out
            position = _element(der, position)[1]
        for _field in ("serial", "signature", "issuer", "validity", "subject"):
            position = _element(der, position)[1]
        public = der[position : _element(der, position)[1]]
    except IndexError:
        raise ValueError("the certificate is cut short") from None
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def _element(der: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where the content of the DER element at ``at`` begins and ends, and where the next element begins."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    if begin + length > len(der):
        raise IndexError
    return (begin, begin + length), begin + length


def _changed(endpoint: Endpoint, found: str) -> NotAllowed:
    expected = endpoint.pin or (pin_of(endpoint.ca) if endpoint.ca else "")
    hint = (
        "harness daemon stop, and start it again"
        if endpoint.state_dir
        else ("if that daemon was set up anew, ask for a new connection string; otherwise somebody is in between")
    )
    return NotAllowed(
        f"cannot trust {endpoint.url}: it is not the daemon you know (expected {expected}, found {found})",
        hint=hint,
        data={"expected": expected, "found": found},
    )


def _why(error: OSError) -> str:
    return "it does not answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
