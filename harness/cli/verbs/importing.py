"""``harness import``: a stack file made of what another tool reads."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.files import write_new, write_over
from harness.cli.grammar import OUTPUTS, Argument, Option, Verb
from harness.cli.render.importing import lost_lines, verdict
from harness.cli.session import Cli
from harness.cli.stackfile import read_text
from harness.cli.templates import SCHEMA_URL
from harness.naming import plain_name
from harness_core.domain.errors import HarnessError, InvalidConfiguration, UsageError

if TYPE_CHECKING:
    from harness.importers.source import Source

__all__ = ["VERB"]

_FORMATS = ("compose", "procfile", "supervisord", "process-compose", "services.json")
#: what is looked for where no file is named; of compose files, what lies on top of the first one comes after it
_USUAL = (
    ("compose.yaml", "compose.override.yaml"),
    ("compose.yml", "compose.override.yml"),
    ("docker-compose.yaml", "docker-compose.override.yaml"),
    ("docker-compose.yml", "docker-compose.override.yml"),
    ("process-compose.yaml",),
    ("process-compose.yml",),
    ("Procfile",),
    ("supervisord.conf",),
    ("services.json",),
)


def run(
    cli: Cli, *, files: tuple[str, ...], out: str, form: str | None, name: str | None, force: bool, strict: bool
) -> int:
    # imported here: only this verb reads foreign files
    from harness.importers.convert import convert

    if out in OUTPUTS:
        cli, out = cli.with_output(out), "-"
    if name is not None and name != plain_name(name):
        raise UsageError(f"cannot call a stack {name!r}", hint=f"lower-case letters, digits, . _ -: {plain_name(name)}")
    chosen = list(files) or _found()
    made = convert(_sources(chosen, out, name), form, SCHEMA_URL)
    cli.err.lines(lost_lines(made.lost, cli.err.style))
    if strict and made.lost:
        raise InvalidConfiguration(
            f"cannot carry over everything: {len(made.lost)} things have no counterpart", hint="leave out --strict"
        )
    if out != "-":
        if force or cli.settings.yes:
            write_over(out, made.text)
        else:
            write_new(out, made.text, hint="put a new one in its place with --force, or name another with -o")
    lost = [{**lost.spot._asdict(), "what": lost.what, "why": lost.why} for lost in made.lost]
    body = {"files": chosen, "format": made.form, "name": made.name, "written": out, "text": made.text, "lost": lost}
    text = made.text.rstrip("\n").split("\n") if out == "-" else []
    cli.data(body, lambda: text, rows="lost", names=lambda: [made.name])
    cli.note(verdict(made.form, made.units, len(made.lost), out, cli.err.style))
    return 0


def _found() -> list[str]:
    """What lies here under a usual name. Raises ``UsageError`` unless that is one thing."""
    there = [[name for name in names if os.path.isfile(name)] for names in _USUAL if os.path.isfile(names[0])]
    if len(there) != 1:
        listed = ", ".join(names[0] for names in there)
        why = f"there are {listed}" if there else "there is no compose file, Procfile or the like here"
        raise UsageError(f"cannot tell what to import: {why}", hint="name the file")
    return there[0]


def _sources(files: Sequence[str], out: str, name: str | None) -> list[Source]:
    from harness.importers.source import Source

    folder = "." if files[0] == "-" else os.path.dirname(files[0]) or "."
    way = os.path.relpath(folder, "." if out == "-" else os.path.dirname(out) or ".")

    def read(path: str) -> str | None:
        try:
            return read_text(os.path.join(folder, path))
        except HarnessError:
            return None

    def find(pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, root_dir=folder))

    return [
        Source(
            file="<stdin>" if file == "-" else file,
            text=read_text(file),
            name=name or plain_name(os.path.basename(os.path.abspath(folder))),
            folder=os.path.basename(os.path.abspath(folder)),
            named=name is not None,
            read=read,
            find=find,
            prefix="" if way == "." else way,
        )
        for file in files
    ]


VERB = Verb(
    "import",
    run,
    "Reads a docker-compose.yml (with what is to lie on top of it), a Procfile with its .env, a supervisord.conf, a "
    "process-compose.yaml or a services.json, and writes a stack file. What means something else here is said in "
    "comments; what could not be carried over is listed, with its place. Without a file, what lies here under its "
    "usual name. Nothing is started, and no daemon is needed.",
    arguments=(Argument("files", "What to read; '-' is standard input.", many=True, complete="file"),),
    options=(
        Option(
            ("-o", "--output"),
            "Where to write it; '-' is standard output, and json, yaml or jsonl tell what was done.",
            "text",
            default="-",
            metavar="FILE",
            complete="file",
            parameter="out",
        ),
        Option(
            ("--from",),
            "What kind of file it is, where neither name nor content say it.",
            "choice",
            choices=_FORMATS,
            parameter="form",
        ),
        Option(("-n", "--name"), "The stack's name.", "text", metavar="NAME"),
        Option(("-f", "--force"), "Write over a file that is there."),
        Option(("--strict",), "Write nothing when something could not be carried over; exit code 3."),
    ),
)
