"""The daemon's certificate files and the TLS context that serves them: made, judged, renewed and swapped while running.

In ``STATE/tls`` (0700): ``ca.pem ca.key leaf.pem leaf.key`` (0600). Whatever is damaged, expired or does not belong
together is set aside under another name, made anew, and told in ``problems``; a healthy authority is kept at all cost,
because clients pin its key.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from harness_core.domain.errors import UsageError
from harness_core.domain.protocol import CertStatus
from harness_core.doors.certificates import (
    Pair,
    canonical_name,
    issue_leaf,
    leaf_problem,
    load_pair,
    make_authority,
    pin_of,
    reissue_authority,
)
from harness_core.doors.private import private_directory, read_private, set_aside, write_private
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["Certificates"]

_log = logging.getLogger("harness.doors.tls")

#: an authority is replaced when less than one leaf's life is left of it
_AUTHORITY_LEFT = timedelta(days=90)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Certificates:
    """Owns ``STATE/tls``. Call ``open`` once, then serve ``context``; ``renew`` swaps the leaf under it.

    ``names`` are served besides localhost, the loopback addresses and this host's name. Blocking, but short (two
    milliseconds when something must be made).
    """

    def __init__(self, state_dir: Path, names: Iterable[str] = (), *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._directory = state_dir / "tls"
        self._clock = clock
        self._renewed = False
        #: what was found wrong and repaired, for the daemon's status
        self.problems: list[str] = []
        self.names = _served_names(names)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.options |= ssl.OP_NO_COMPRESSION
        # A ticket arrives after the handshake, when a client may be reading and writing in two threads; in OpenSSL that
        # loses the client's first message now and then. Nobody here resumes sessions.
        self.context.num_tickets = 0

    def open(self) -> None:
        """Read or make the files and load them. Raises ``NotAllowed`` for links and other users' files."""
        private_directory(self._directory)
        self._authority = self._open_authority()
        self._leaf = self._open_leaf()
        self._load()

    @property
    def ca_path(self) -> Path:
        return self._directory / "ca.pem"

    @property
    def ca_pem(self) -> bytes:
        return self._authority.certificate_pem

    @property
    def pin(self) -> str:
        return pin_of(self._authority.certificate)

    @property
    def expires(self) -> float:
        """When the leaf ends, wall time."""
        return self._leaf.certificate.not_valid_after_utc.timestamp()

    def renew(self, *, force: bool = False) -> bool:
        """Replace the leaf when it is due (or ``force``), for all handshakes from now on. True when it was."""
        reason = leaf_problem(self._leaf, self._authority, self.names, self._clock())
        if not reason and not force:
            return False
        self._leaf = self._make_leaf()
        self._load()
        self._renewed = True
        _log.info("new certificate until %s: %s", self._leaf.certificate.not_valid_after_utc, reason or "asked for")
        return True

    def status(self) -> CertStatus:
        """As ``cert.status`` answers it."""
        certificate = self._leaf.certificate
        return {
            "subject_names": self._leaf.names,
            "not_before": certificate.not_valid_before_utc.timestamp(),
            "not_after": certificate.not_valid_after_utc.timestamp(),
            "pin": self.pin,
            "ca_path": str(self.ca_path),
            "renewed": self._renewed,
        }

    def _open_authority(self) -> Pair:
        now = self._clock()
        pair, problem = self._read("ca")
        if pair is not None and now >= pair.certificate.not_valid_after_utc - _AUTHORITY_LEFT:
            pair, problem = None, "it has expired or is about to"
        if pair is None:
            if problem:
                self._tell("ca", problem, "clients on other machines must be given the new pin")
            return self._store("ca", make_authority(self.names, now))
        if not _permits(pair.certificate, self.names):
            # the same key, so the pin stays; clients fetch the new certificate and compare it with their pin
            return self._store("ca", reissue_authority(pair.key, self.names, now))
        return pair

    def _open_leaf(self) -> Pair:
        pair, problem = self._read("leaf")
        if pair is None:
            if problem:
                self._tell("leaf", problem, "a new one was made")
            return self._make_leaf()
        problem = leaf_problem(pair, self._authority, self.names, self._clock())
        if not problem:
            return pair
        _log.info("certificate replaced: %s", problem)
        return self._make_leaf()

    def _make_leaf(self) -> Pair:
        return self._store("leaf", issue_leaf(self._authority, self.names, self._clock()))

    def _read(self, stem: str) -> tuple[Pair | None, str]:
        """The pair, or ``None`` with what is wrong with the files ("" when there are none)."""
        found: list[bytes] = []
        for suffix in ("pem", "key"):
            try:
                found.append(read_private(self._directory / f"{stem}.{suffix}"))
            except FileNotFoundError:
                continue
        if not found:
            return None, ""
        if len(found) == 1:
            return None, "the certificate or its key is missing"
        try:
            pair = load_pair(*found)
            if stem == "leaf":
                _ = pair.names  # a leaf without names is as good as none
        except (ValueError, TypeError, x509.ExtensionNotFound) as error:
            return None, str(error).lower() or "it cannot be read"
        return pair, ""

    def _store(self, stem: str, pair: Pair) -> Pair:
        # the key first: a crash in between leaves a pair that does not match, which the next start repairs
        write_private(self._directory / f"{stem}.key", pair.key_pem)
        write_private(self._directory / f"{stem}.pem", pair.certificate_pem)
        return pair

    def _tell(self, stem: str, problem: str, consequence: str) -> None:
        mark = self._clock().strftime("damaged-%Y%m%dT%H%M%S")
        for suffix in ("pem", "key"):
            set_aside(self._directory / f"{stem}.{suffix}", mark)
        sentence = f"{self._directory / stem}.pem was replaced: {problem}; {consequence}; the old file ends in .{mark}"
        self.problems.append(sentence)
        _log.warning("%s", sentence)

    def _load(self) -> None:
        certificate, key = self._directory / "leaf.pem", self._directory / "leaf.key"
        # tried on a fresh context first: a failure must not leave the live one without a key
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        failpoint("certificate.swap")
        self.context.load_cert_chain(certificate, key)


def _served_names(extra: Iterable[str]) -> list[str]:
    names = {"localhost", "127.0.0.1", "::1"}
    if host := canonical_name(socket.gethostname()):
        names.add(host)
    for name in extra:
        if (canonical := canonical_name(name)) is None:
            raise UsageError(f"cannot serve the name {name!r}: it is neither an address nor a host name")
        names.add(canonical)
    return sorted(names)


def _permits(authority: x509.Certificate, names: list[str]) -> bool:
    """Whether the authority's name constraints are those for ``names``; anything else is reissued."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    permitted = {
        str(name.value).removesuffix("/32").removesuffix("/128") for name in constraints.permitted_subtrees or ()
    }
    return permitted == set(names)
