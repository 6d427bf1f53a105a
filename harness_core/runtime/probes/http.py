"""What an HTTP endpoint answers: one request on one fresh connection, with nothing read that nobody asked for.

The parser is h11, which the daemon's own door has loaded anyway; a client library with pools, redirects and
cookies would cost more to import than all checks of a stack do.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from urllib.parse import urlsplit

import h11

from harness_core.domain.spec import HttpCheck
from harness_core.runtime.logs.matcher import Matcher, PatternError
from harness_core.runtime.probes.base import CannotCheck, Outcome, ProbeContext, clip, why

__all__ = ["HttpProbe"]

MAX_BODY = 64 * 1024
MAX_HEAD = 64 * 1024
_STATUS = re.compile(r"\s*(\d{3})\s*(?:-\s*(\d{3}))?\s*")


class HttpProbe:
    """GET without redirects, proxies, cookies or a kept connection. Making one may raise ``CannotCheck``."""

    reads_output = False

    def __init__(self, check: HttpCheck, context: ProbeContext, matcher: Matcher) -> None:
        self._check = check
        self._matcher = matcher
        self._accepted = _ranges(check.status)
        url = check.path
        if "://" not in url:
            url = context.endpoint(check.port).url + (url if url.startswith("/") else f"/{url}")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotCheck(f"cannot check: {clip(url, 120)} is not an http or https address")
        self._tls = parts.scheme == "https"
        try:
            self._port = parts.port or (443 if self._tls else 80)
        except ValueError as error:
            raise CannotCheck(f"cannot check: {clip(url, 120)}: {error}") from None
        self._host = parts.hostname
        self._authority = parts.netloc.rpartition("@")[2]
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.subject = f"GET {clip(f'{parts.scheme}://{self._authority}{self._target}', 150)}"

    async def look(self) -> Outcome:
        try:
            status, body = await self._exchange()
        except ssl.SSLCertVerificationError as error:
            return Outcome(False, f"{self.subject}: certificate not trusted: {clip(error.verify_message)}")
        except ssl.SSLError as error:
            return Outcome(False, f"{self.subject}: TLS failed: {clip(error.reason or str(error))}")
        except h11.LocalProtocolError as error:
            return Outcome(False, f"{self.subject} cannot be asked: {clip(str(error))}")
        except h11.RemoteProtocolError as error:
            return Outcome(False, f"{self.subject} did not answer with HTTP: {clip(str(error))}")
        except (OSError, UnicodeError) as error:
            reason = why(error) if isinstance(error, OSError) else str(error)
            return Outcome(False, f"{self.subject} {reason}" if reason == "refused" else f"{self.subject}: {reason}")
        if not any(low <= status <= high for low, high in self._accepted):
            return Outcome(False, f"{self.subject} answered {status}")
        if self._check.body is not None:
            return await self._judge_body(status, body, self._check.body)
        return Outcome(True, f"{self.subject} answered {status}")

    async def _judge_body(self, status: int, body: bytes, pattern: str) -> Outcome:
        try:
            found = await self._matcher.search(pattern, [body])
        except PatternError as error:
            return Outcome(False, f"{self.subject} answered {status}, but {error}")
        if found:
            return Outcome(True, f"{self.subject} answered {status} with the expected content")
        return Outcome(False, f"{self.subject} answered {status}, but its content does not match {clip(pattern, 80)!r}")

    async def _exchange(self) -> tuple[int, bytes]:
        """Ask, and return the status and, when a body is to be judged, the first 64 KiB of it."""
        context = await asyncio.to_thread(_tls_context, self._check.verify_tls) if self._tls else None
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context)
        try:
            machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
            request = machine.send(h11.Request(method="GET", target=self._target, headers=self._headers()))
            writer.write(request + machine.send(h11.EndOfMessage()))
            return await _response(machine, reader, want_body=self._check.body is not None)
        finally:
            # no goodbye: a peer that has stopped reading would keep us waiting for it
            writer.transport.abort()

    def _headers(self) -> list[tuple[str, str]]:
        headers = {"host": self._authority, "user-agent": "harness-health", "accept": "*/*", "connection": "close"}
        headers.update({name.lower(): value for name, value in self._check.headers.items()})
        return list(headers.items())


async def _response(machine: h11.Connection, reader: asyncio.StreamReader, *, want_body: bool) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        event = machine.next_event()
        if event is h11.NEED_DATA:
            machine.receive_data(await reader.read(MAX_BODY))
        elif isinstance(event, h11.Response):
            status = event.status_code
            if not want_body:
                return status, b""
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) >= MAX_BODY:
                return status, bytes(body[:MAX_BODY])
        elif isinstance(event, h11.InformationalResponse):
            continue
        else:
            return status, bytes(body)


def _ranges(status: list[int | str] | None) -> list[tuple[int, int]]:
    """``[200, "204-299"]`` as pairs, both ends included. Raises ``CannotCheck``."""
    if status is None:
        return [(200, 399)]
    ranges = []
    for item in status:
        match = _STATUS.fullmatch(str(item))
        if match is None:
            raise CannotCheck(f"cannot check: {item!r} is not a status code or a range such as 200-299")
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return ranges


@functools.cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    """Shared by all checks: loading the machine's trusted certificates takes some 20 ms."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
