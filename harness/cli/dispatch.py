"""From a verb and its values to an exit code: where both ways of reading the command line meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cli.errors import guarded, report
from harness.cli.grammar import Verb
from harness.cli.session import Cli
from harness.cli.settings import Settings
from harness_core.domain.errors import HarnessError

__all__ = ["execute"]


def execute(verb: Verb, values: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Run ``verb`` with its own ``values`` and the ``shared`` global options."""
    try:
        settings = Settings.read(shared)
    except HarnessError as error:
        return report(Settings(output=str(shared.get("output") or "table")), error)
    return guarded(settings, lambda: verb.run(Cli(settings), **values))
