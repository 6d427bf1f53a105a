"""INI files of the kind that supervisord reads, with the place of every key."""

from __future__ import annotations

import re

from harness.importers.items import Item, Report, Spot

__all__ = ["read_ini"]

_SECTION = re.compile(r"\[([^\]]+)\]\s*(?:[;#].*)?")
_OPTION = re.compile(r"([^=:\s][^=:]*?)\s*[=:]\s*(.*)")
_COMMENT = re.compile(r"(?:^|\s)[;#].*")


def read_ini(file: str, text: str, report: Report) -> dict[str, Item]:
    """The sections in their order, each a mapping of texts. A key that is given again replaces the earlier one, and a
    line that is indented goes on with the value before it."""
    sections: dict[str, Item] = {}
    options: dict[str, Item] | None = None
    last = ""
    for number, line in enumerate(text.splitlines(), start=1):
        column = len(line) - len(line.lstrip()) + 1
        spot = Spot(file, number, column)
        written = _COMMENT.sub("", line).strip()
        if not written:
            continue
        if column > 1 and options is not None and last:
            before = options[last]
            joined = f"{before.text}\n{written}" if before.text else written
            options[last] = Item(joined, before.spot, joined)
        elif section := _SECTION.fullmatch(line.strip()):
            name = section[1].strip()
            known = sections.setdefault(name, Item({}, spot)).value
            assert isinstance(known, dict), "made in the line above"
            options, last = known, ""
        elif options is None:
            report.wrong(spot, "something stands before the first [section]")
        elif option := _OPTION.fullmatch(written):
            last = option[1].strip().lower()
            options[last] = Item(option[2], spot, option[2])
        else:
            report.wrong(spot, "this is neither a [section] nor of the form key=value")
    return sections
