"""The outermost layer of reading YAML: bytes to text, and the parser's complaints to plain words."""

from __future__ import annotations

import re
from typing import Any

from harness_core.domain.diagnostics import Diagnostics, Place, split_lines

__all__ = ["MAX_BYTES", "decode", "end_of_line", "explain"]

MAX_BYTES = 1 << 20

_ORIGIN = Place(1, 1, 2)
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: the complement of what YAML calls printable
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: the parser's words for what people do most often, and ours
_PLAIN_WORDS = {
    "mapping values are not allowed in this context": "a ':' cannot stand here: indent, or quote the text",
    "did not find expected key": "a key was expected here: check the indentation",
    "could not find expected ':'": "a ':' is missing after this key",
    "did not find expected '-' indicator": "a '- ' was expected here: check the indentation",
    "did not find expected ',' or ']'": "a ',' or the closing ']' is missing",
    "did not find expected ',' or '}'": "a ',' or the closing '}' is missing",
    "found unexpected end of stream": "the quote that begins here is never closed",
    "did not find expected <document start>": "this does not belong to the document: check the indentation",
    "found a tab character that violates indentation": "a tab cannot indent: use spaces",
    "found unknown escape character": "this escape is not known inside double quotes: use single quotes",
}


def end_of_line(line: str, at_least: int) -> int:
    """The exclusive column after the last character of a line that is not blank, and not before ``at_least``."""
    return max(at_least, len(line.rstrip()) + 1)


def decode(source: bytes | str, diagnostics: Diagnostics) -> str | None:
    """The text of a file, given to ``diagnostics``; ``None`` when it is too large or is not clean UTF-8."""
    try:
        raw = source if isinstance(source, bytes) else source.encode()
        if len(raw) > MAX_BYTES:
            diagnostics.error("too-large", f"the file is larger than 1 MiB ({len(raw):,} bytes)", _ORIGIN)
            return None
        if raw.startswith((_UTF8_MARK, *_UTF16_MARKS)):
            found = "UTF-16" if raw.startswith(_UTF16_MARKS) else "a byte order mark"
            message = f"the file begins with {found} (offset 0); save it as UTF-8 without a byte order mark"
            diagnostics.error("not-utf8", message, _ORIGIN)
            return None
        text = raw.decode()
    except UnicodeError as error:
        offset = getattr(error, "start", 0)
        diagnostics.error("not-utf8", f"the file is not UTF-8: wrong byte at offset {offset}", _ORIGIN)
        return None
    diagnostics.set_text(text)
    if bad := _FORBIDDEN.search(text):
        before = split_lines(text[: bad.start()])
        column = len(before[-1]) + 1
        name = "a NUL character" if bad[0] == "\0" else f"the control character U+{ord(bad[0]):04X}"
        offset = len(text[: bad.start()].encode())
        place = Place(len(before), column, column + 1)
        diagnostics.error("control-character", f"{name} cannot stand in the file (offset {offset})", place)
        return None
    return text


def explain(error: Any, diagnostics: Diagnostics) -> None:
    """Turn an error of the parser into a finding at its place."""
    problem = str(getattr(error, "problem", None) or error)
    mark = getattr(error, "problem_mark", None)
    context = getattr(error, "context_mark", None)
    if problem == "found unexpected end of stream" and context is not None:
        mark = context
    if mark is None:
        diagnostics.error("bad-yaml", f"the file is not YAML: {problem}", _ORIGIN)
        return
    line = diagnostics.line(mark.line + 1)
    place = Place(mark.line + 1, mark.column + 1, mark.column + 2)
    if problem == "found character that cannot start any token":
        character = line[mark.column : mark.column + 1]
        words = (
            "a tab cannot stand here: use spaces"
            if character == "\t"
            else f"'{character}' cannot begin a value: quote it"
        )
    else:
        words = _PLAIN_WORDS.get(problem, problem)
    notes = []
    if context is not None and context is not mark and context.line != mark.line:
        notes.append(f"it belongs to what begins in line {context.line + 1}")
    if "${" in line and ("{" in line.replace("${", "") or "[" in line):
        notes.append("inside {…} and […], a text with ${…} needs quotes")
    diagnostics.error("bad-yaml", words, place, notes=notes)
