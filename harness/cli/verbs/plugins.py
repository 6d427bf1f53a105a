"""``harness plugins``: what is installed, and what of it does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import Verb
from harness.cli.render.admin import plugin_lines
from harness.cli.session import Cli

if TYPE_CHECKING:
    from harness_core.domain.protocol import PluginsResult

__all__ = ["VERB"]


def run(cli: Cli) -> int:
    result = cast("PluginsResult", cli.call("plugins", {}, begin=True))
    cli.data(
        result,
        lambda: plugin_lines(result["plugins"], cli.out.style),
        rows="plugins",
        names=lambda: [row["name"] for row in result["plugins"]],
    )
    return 0


VERB = Verb("plugins", run, "A broken plugin is skipped by the daemon and named here with what is wrong with it.")
