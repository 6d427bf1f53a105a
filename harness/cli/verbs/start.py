"""``harness start``: a stack file, or units that are registered already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from harness.cli import stackfile
from harness.cli.follow import follow
from harness.cli.grammar import STACK, Option, Verb
from harness.cli.session import Cli
from harness.cli.sources import FILE_OR_NAMES, PROFILE, SOURCE, chosen_files, read_source
from harness_core.domain.errors import (
    DaemonUnreachable,
    ExitCode,
    HarnessError,
    InvalidConfiguration,
    NotFound,
    UsageError,
)

__all__ = ["VERB"]


def run(
    cli: Cli,
    *,
    targets: tuple[str, ...],
    stack: str | None,
    profiles: tuple[str, ...],
    no_deps: bool,
    no_wait: bool,
    rollback: bool,
    rerun_tasks: bool,
    dry_run: bool,
    start_all: bool,
    **shaping: Any,
) -> int:
    if start_all:
        if targets:
            raise UsageError("cannot start --all and single units at once", hint="leave one of them out")
        return _start_units(cli, [], stack, no_deps=no_deps, no_wait=no_wait, everything=True)
    files, names = chosen_files(targets)
    options = {"profiles": list(profiles), "no_deps": no_deps, "wait": not no_wait, "rollback": rollback}
    options |= {"rerun_tasks": rerun_tasks, "timeout": cli.settings.timeout}
    if dry_run:
        from harness.cli.verbs.plan import show_plans

        return show_plans(cli, files, names, profiles, shaping)
    if not files:
        try:
            return _start_units(cli, names, stack, no_deps=no_deps, no_wait=no_wait)
        except (NotFound, DaemonUnreachable) as error:
            files = [_nearest(error, names)]
    # all are read before the first is started, so that a typing error in the second leaves nothing half done
    sources = [read_source(file, **shaping) for file in files]
    code = 0
    for source in sources:
        params = {"source": source, "names": names, **options}
        ended = follow(cli, "start", "stack.start", params, _title(source, names), begin=True)
        code = code or ended
        if ended == ExitCode.INTERRUPTED:
            break
    return code


def _start_units(
    cli: Cli, names: Sequence[str], stack: str | None, *, no_deps: bool, no_wait: bool, everything: bool = False
) -> int:
    params = {**cli.select, "names": list(names), "stack": stack, "all": everything, "no_deps": no_deps}
    params |= {"wait": not no_wait, "timeout": cli.settings.timeout}
    return follow(cli, "start", "service.start", params, ", ".join(names) or stack or "everything")


def _nearest(error: HarnessError, names: Sequence[str]) -> str:
    """Units that nobody registered may stand in the stack file of this directory; without one the error stands, unless
    a directory was meant."""
    nearest = stackfile.find(".")
    if nearest is not None:
        return nearest
    folder = next((name for name in names if os.path.isdir(name)), None)
    if folder is None:
        raise error
    raise InvalidConfiguration(
        f"cannot start {folder}: no unit is called so, and the directory holds no {stackfile.NAMES[0]}",
        hint=f"write one with: harness init --file {os.path.join(folder, stackfile.NAMES[0])}",
    )


def _title(source: dict[str, Any], names: Sequence[str]) -> str:
    return str(source["name"] or ", ".join(names) or os.path.basename(str(source["filename"])))


VERB = Verb(
    "start",
    run,
    "FILE is a stack file (or a directory with a harness.yaml); names after it start only those units and what they "
    "need. Names alone start units that are registered. The daemon is started when none runs.\n\n"
    "Waits until everything is ready, and tells why where it is not. Ctrl-C only stops watching.",
    arguments=(FILE_OR_NAMES,),
    options=(
        STACK,
        *SOURCE,
        PROFILE,
        Option(("-a", "--all"), "Start everything that is registered.", parameter="start_all"),
        Option(("--no-deps",), "Do not start what they need."),
        Option(("--no-wait",), "Return as soon as the wish is recorded."),
        Option(("--rollback",), "Put the earlier definition back when the new one does not become ready."),
        Option(("--rerun-tasks",), "Run tasks again that are done already."),
        Option(("--dry-run",), "Only show what would be done."),
    ),
)
