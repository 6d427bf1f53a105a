"""From foreign files to the text of a stack file: the one way through all formats."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from harness.importers.formats import FORMATS, recognise
from harness.importers.items import Lost, Report
from harness.importers.render import render
from harness.importers.source import Source
from harness.naming import plain_name
from harness_core.domain.errors import InvalidConfiguration, UsageError

__all__ = ["Made", "convert"]


class Made(NamedTuple):
    """What came of it."""

    form: str
    name: str
    text: str
    #: services and tasks
    units: tuple[int, int]
    lost: list[Lost]


def convert(sources: Sequence[Source], form: str | None, schema: str) -> Made:
    """Translate files of one format, ``form`` or what they look like.

    Raises ``InvalidConfiguration`` with every mistake and its place, ``UsageError`` for files that do not go together.
    """
    first = sources[0]
    form = form or recognise(posixpath.basename(first.file), first.text)
    if form is None:
        raise InvalidConfiguration(
            f"cannot import {first.file}: it looks like none of {', '.join(f.about for f in FORMATS.values())}",
            hint=f"say what it is: --from {' or '.join(FORMATS)}",
        )
    if len(sources) > 1 and not FORMATS[form].layered:
        raise UsageError(f"cannot put {sources[1].file} on top of {first.file}: only compose files are made of layers")
    report = Report()
    draft = FORMATS[form].translate(sources, report)
    report.check()
    draft.name = first.name if first.named else plain_name(draft.name)
    return Made(
        form, draft.name, render(draft, schema, report.lost), (len(draft.services), len(draft.tasks)), report.lost
    )
