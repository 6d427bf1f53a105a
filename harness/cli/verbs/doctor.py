"""``harness doctor``: what is wrong, on this side and on the daemon's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.grammar import Verb
from harness.cli.render.doctor import doctor_lines
from harness.cli.session import Cli
from harness_core.domain.errors import HarnessError

if TYPE_CHECKING:
    from harness_core.domain.protocol import CheckRow

__all__ = ["VERB"]


def run(cli: Cli) -> int:
    """Exit code 1 when there is a problem; warnings are none."""
    from harness.cli.checks import client_checks

    checks: list[CheckRow] = client_checks(cli)
    try:
        checks += cli.call("doctor", {}, begin=False, recover=False)["checks"]
    except HarnessError as error:
        # that the daemon could not be asked stands among the client's checks already, unless it refused
        if not any(check["name"] == "daemon" and check["status"] != "ok" for check in checks):
            checks.append({"name": "daemon", "status": "problem", "detail": error.message, "hint": error.hint})
    cli.data(
        {"checks": checks},
        lambda: doctor_lines(checks, cli.out.style),
        rows="checks",
        names=lambda: [check["name"] for check in checks if check["status"] != "ok"],
    )
    return int(any(check["status"] == "problem" for check in checks))


VERB = Verb("doctor", run, "Looks only; changes and starts nothing. Exit code 1 when there is a problem.")
