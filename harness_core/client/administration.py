"""Operations on the daemon itself: its status, its credentials, its plugins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness_core.client.caller import Caller

if TYPE_CHECKING:
    from harness_core.client.stream import Stream
    from harness_core.domain.protocol import (
        CertStatus,
        DaemonStatus,
        DoctorResult,
        Done,
        EnvResult,
        Hello,
        PluginsResult,
        SchemaResult,
        TextLines,
        TokenSecret,
        TokensResult,
    )

__all__ = ["Administration"]


class Administration(Caller):
    """Operations on the daemon itself: its status, its credentials, its plugins; mixed into ``Client``."""

    def hello(self) -> Hello:
        """Versions, role and capabilities."""
        answer: Hello = self.call("hello")
        return answer

    def daemon_status(self) -> DaemonStatus:
        """The daemon itself."""
        answer: DaemonStatus = self.call("daemon.status")
        return answer

    def daemon_stop(self, *, stop_services: bool = False) -> Done:
        """End the daemon; services stay."""
        answer: Done = self.call("daemon.stop", {"stop_services": stop_services})
        return answer

    def daemon_logs(self, *, tail: int | None = 100, follow: bool = False) -> Stream[TextLines, Done]:
        """The daemon's own log."""
        return self.stream("daemon.logs", {"tail": tail, "follow": follow})

    def daemon_env(self, *, names: Sequence[str]) -> EnvResult:
        """Named variables of the daemon's environment."""
        answer: EnvResult = self.call("daemon.env", {"names": list(names)})
        return answer

    def token_create(self, *, name: str, role: str = "viewer", expires_in: float = 7776000.0) -> TokenSecret:
        """A new token."""
        answer: TokenSecret = self.call("token.create", {"name": name, "role": role, "expires_in": expires_in})
        return answer

    def token_list(self) -> TokensResult:
        """Tokens, without their secrets."""
        answer: TokensResult = self.call("token.list")
        return answer

    def token_revoke(self, *, id: str) -> Done:
        """End a token now."""
        answer: Done = self.call("token.revoke", {"id": id})
        return answer

    def cert_status(self) -> CertStatus:
        """The daemon's certificate."""
        answer: CertStatus = self.call("cert.status")
        return answer

    def cert_rotate(self) -> CertStatus:
        """A new certificate now."""
        answer: CertStatus = self.call("cert.rotate")
        return answer

    def plugins(self) -> PluginsResult:
        """Installed plugins, the broken ones named."""
        answer: PluginsResult = self.call("plugins")
        return answer

    def schema(self) -> SchemaResult:
        """The JSON Schema of stack files."""
        answer: SchemaResult = self.call("schema")
        return answer

    def doctor(self) -> DoctorResult:
        """Checks of the daemon's side."""
        answer: DoctorResult = self.call("doctor")
        return answer
