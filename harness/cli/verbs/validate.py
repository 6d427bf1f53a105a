"""``harness validate``: every finding in a stack file at once, each with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from harness.cli.errors import report
from harness.cli.grammar import Argument, Option, Verb
from harness.cli.render.diagnostics import diagnostic_lines, github_lines, verdict
from harness.cli.session import Cli
from harness.cli.sources import SOURCE, chosen_files, read_source
from harness_core.domain.errors import ExitCode, InvalidConfiguration

if TYPE_CHECKING:
    from harness_core.domain.protocol import ValidateResult

__all__ = ["VERB"]


def run(cli: Cli, *, files: tuple[str, ...], strict: bool, resolved: bool, form: str, **shaping: Any) -> int:
    """Exit code 0 when all files are valid, else that of a wrong configuration."""
    ok = True
    for file in files or chosen_files(())[0]:
        try:
            source = read_source(file, **shaping)
        except InvalidConfiguration as error:
            if len(files) < 2:
                raise
            # the other files have their findings all the same
            report(cli.settings, error)
            ok = False
            continue
        result = cast("ValidateResult", cli.call("stack.validate", {"source": source, "strict": strict}, begin=True))
        ok = ok and result["ok"]
        _show(cli, str(source["filename"]), result, resolved=resolved, form=form)
    return int(ExitCode.OK if ok else ExitCode.CONFIGURATION)


def _show(cli: Cli, file: str, result: ValidateResult, *, resolved: bool, form: str) -> None:
    findings = result["diagnostics"]

    def lines() -> list[str]:
        if form == "github":
            return github_lines(findings)
        if resolved and result["resolved"] is not None:
            from harness.cli.render.data import as_yaml

            return as_yaml(result["resolved"], versioned=False).splitlines()
        return diagnostic_lines(findings, cli.out.style)

    cli.data(result, lines, rows="diagnostics", names=lambda: [file])
    if form == "text":
        cli.note(("\n" if findings else "") + verdict(findings, file, cli.err.style))


VERB = Verb(
    "validate",
    run,
    "Without a file, the nearest harness.yaml. Exit code 3 when there are errors; with --strict, warnings are errors.",
    arguments=(Argument("files", "Stack files.", many=True, complete="file"),),
    options=(
        *SOURCE,
        Option(("--strict",), "Take warnings for errors."),
        Option(("--resolved",), "Print the effective configuration: defaults filled in, variables replaced."),
        Option(
            ("--format",),
            "How findings are written.",
            "choice",
            default="text",
            choices=("text", "github"),
            parameter="form",
        ),
    ),
)
