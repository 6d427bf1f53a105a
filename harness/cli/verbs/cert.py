"""``harness cert``: the certificate with which the daemon shows who it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from harness.cli.grammar import Verb
from harness.cli.render.admin import cert_lines
from harness.cli.session import Cli

if TYPE_CHECKING:
    from harness_core.domain.protocol import CertStatus

__all__ = ["HELP", "VERBS"]

HELP = "The daemon makes and renews it by itself; clients trust the authority's public key, the pin."


def _show(cli: Cli, method: str) -> int:
    result = cast("CertStatus", cli.call(method, {}))
    cli.data(result, lambda: cert_lines(result, time.time(), cli.out.style), names=lambda: [result["pin"]])
    return 0


def status(cli: Cli) -> int:
    return _show(cli, "cert.status")


def rotate(cli: Cli) -> int:
    return _show(cli, "cert.rotate")


VERBS = (
    Verb("status", status, "", summary="Show names, dates and pin."),
    Verb("rotate", rotate, "Open connections stay; clients need nothing new.", summary="Make a new certificate now."),
)
