"""Columns: how wide text is on a terminal, and tables that fit into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.cli.render.escape import strip_colours
from harness.cli.render.style import Style, paint

__all__ = ["Column", "cut", "fold", "pad", "table", "width_of"]

_GAP = "  "
_LEAST_TEXT = 24


def width_of(text: str) -> int:
    """Terminal columns that ``text`` takes, colours not counted."""
    plain = strip_colours(text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    return sum(_columns(character) for character in plain)


def _columns(character: str) -> int:
    import unicodedata  # most tables are ASCII and do without

    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled with blanks to ``width`` columns."""
    blanks = " " * max(0, width - width_of(text))
    return blanks + text if right else text + blanks


def cut(text: str, width: int, style: Style) -> str:
    """Plain ``text`` in at most ``width`` columns, its loss marked."""
    if width <= 0 or width_of(text) <= width:
        return text
    mark = style.sign("…")
    if width <= len(mark):
        return mark[:width]
    room, kept = width - len(mark), []
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + mark


def fold(text: str, width: int) -> list[str]:
    """Plain ``text`` in lines of at most ``width`` columns, broken at blanks where there are any."""
    if width <= 0 or width_of(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        candidate = f"{line} {word}" if line else word
        if width_of(candidate) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        while width_of(word) > width:
            at = _prefix(word, width)
            lines.append(word[:at])
            word = word[at:]
        line = word
    lines.append(line)
    return lines


def _prefix(word: str, width: int) -> int:
    """How many characters of ``word`` fit into ``width`` columns; at least one, so that folding ends."""
    used = 0
    for index, character in enumerate(word):
        used += _columns(character)
        if used > width:
            return max(1, index)
    return len(word)


class Column(NamedTuple):
    """A column of a table. Colours are given per cell beside the text, so that widths stay true."""

    title: str
    right: bool = False
    #: when the table is too wide for the terminal, columns go in the order of this number; 0 stays
    drop: int = 0


#: the text of a cell and its colour
Cell = tuple[str, str]


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], style: Style) -> list[str]:
    """Lines of a table with a heading. Empty columns are left out, narrow terminals lose columns by ``drop``, and the
    last column is folded rather than cut, because it says why."""
    shown = [i for i, _ in enumerate(columns) if i == 0 or any(row[i][0] not in ("", "-") for row in rows)]
    widths = {i: max(width_of(columns[i].title), *(width_of(row[i][0]) for row in rows), 0) for i in shown}
    shown = _fitting(columns, widths, shown, style.width)
    if not rows:
        return [_GAP.join(paint(style, columns[i].title, "dim") for i in shown).rstrip()]
    lines = [_line(columns, [(columns[i].title, "dim") for i in shown], shown, widths, style)]
    last = shown[-1]
    indent = sum(widths[i] + len(_GAP) for i in shown[:-1])
    room = style.width - indent if style.width else 0
    for row in rows:
        text, colour = row[last]
        first, *rest = fold(text, room) if room > 0 and not columns[last].right else [text]
        cells = [row[i] for i in shown[:-1]] + [(first, colour)]
        lines.append(_line(columns, cells, shown, widths, style))
        lines += [" " * indent + paint(style, more, colour) for more in rest]
    return lines


def _fitting(columns: Sequence[Column], widths: dict[int, int], shown: list[int], width: int) -> list[int]:
    """The columns that are left when those least needed have gone until the rest fits."""
    while width:
        last = shown[-1]
        fixed = sum(widths[i] + len(_GAP) for i in shown[:-1])
        if fixed + min(widths[last], _LEAST_TEXT) <= width:
            break
        droppable = [i for i in shown if columns[i].drop]
        if not droppable:
            break
        shown = [i for i in shown if i != min(droppable, key=lambda i: columns[i].drop)]
    return shown


def _line(
    columns: Sequence[Column], cells: Sequence[Cell], shown: Sequence[int], widths: dict[int, int], style: Style
) -> str:
    parts = []
    for (text, colour), index in zip(cells, shown, strict=True):
        blanks = " " * max(0, widths[index] - width_of(text))
        painted = paint(style, text, colour)
        parts.append(blanks + painted if columns[index].right else painted + blanks)
    return _GAP.join(parts).rstrip()
