"""``harness version``: the client's version, and the daemon's where one runs."""

from __future__ import annotations

from typing import Any

from harness.cli.grammar import Verb
from harness.cli.session import Cli
from harness_core.domain.errors import HarnessError

__all__ = ["VERB"]


def run(cli: Cli) -> int:
    from importlib.metadata import version

    client = version("service-harness")
    body: dict[str, Any] = {"version": client, "daemon": None}
    try:
        body["daemon"] = cli.call("hello", {}, begin=False, recover=False)["version"]
    except HarnessError:
        # the question was for this program's version; that no daemon runs is no failure of it
        body["daemon"] = None
    daemon = body["daemon"]

    def lines() -> list[str]:
        text = f"harness {client}"
        return [text if daemon in (None, client) else f"{text}, the daemon is {daemon}"]

    cli.data(body, lines, names=lambda: [client])
    return 0


VERB = Verb("version", run, "Starts no daemon.")
