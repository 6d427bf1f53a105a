"""Text that a service wrote, made harmless for a terminal.

A terminal obeys what it is sent: output of a service could move the cursor over earlier lines, retitle the window,
fill the clipboard or reverse the reading direction. Colours (SGR) are kept where they are wanted, everything else that
a terminal or a reader's eye would act on is shown instead of sent: control characters as ``^G``, C1 controls,
bidirectional overrides and invisible separators as ``<U+202E>``. Tabs stay. Bytes that are no UTF-8 arrive here as
surrogates (``surrogateescape``) or U+FFFD; surrogates are shown as ``\\xNN``.
"""

from __future__ import annotations

import functools
import re

__all__ = ["escape", "escape_line", "is_harmless", "strip_colours"]

#: one SGR sequence, with nothing in it but numbers; the count is bounded so that nobody buys work with a long one
_SGR = r"\x1b\[[0-9;:]{0,64}m"

#: C0 without tab and newline, DEL, C1, bidi controls, line and paragraph separator, other invisible formatting that
#: hides or reorders text, tags, byte-order mark, surrogates
_DANGEROUS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Anything dangerous; and a colour or something dangerous. Compiled on first need: a table of plain ASCII, which
    is what most commands print, has none."""
    return re.compile(f"[{_DANGEROUS}]"), re.compile(f"({_SGR})|([{_DANGEROUS}])")


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return "^" + chr(code + 0x40)
    if code == 0x7F:
        return "^?"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"<U+{code:04X}>"


def is_harmless(text: str) -> bool:
    """Whether lines may be shown as they are."""
    return _patterns()[0].search(text) is None


def escape(text: str, *, colours: bool = False) -> str:
    """``text`` with every control made visible; newlines and tabs stay, and SGR sequences if ``colours``.

    When a colour was let through, the text ends with a reset, so that it cannot dye what follows.
    """
    if text.isascii() and text.isprintable():
        return text
    any_of_them, unsafe = _patterns()
    if any_of_them.search(text) is None:
        return text
    kept = False

    def replace(match: re.Match[str]) -> str:
        nonlocal kept
        if match[1] is None:
            return _shown(match[2])
        if colours:
            kept = True
            return match[1]
        return ""

    escaped = unsafe.sub(replace, text)
    return escaped + "\x1b[0m" if kept else escaped


def escape_line(text: str, *, colours: bool = False) -> str:
    """As ``escape``, for what must stay on one line: a carriage return at the end is the line's own, others and
    newlines are shown."""
    line = escape(text[:-1] if text.endswith("\r") else text, colours=colours)
    return line.replace("\n", "^J") if "\n" in line else line


def strip_colours(text: str) -> str:
    """``text`` without SGR sequences."""
    return re.sub(_SGR, "", text)
