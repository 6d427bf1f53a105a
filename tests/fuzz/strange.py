"""Making inputs strange: seeded, cheap, and as likely to hit syntax as letters."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

__all__ = ["strange_bytes", "strange_text"]

#: what is special to YAML, references, JSON, and terminals
PIECES: tuple[str, ...] = (
    *"${}[]:-?.,&*!|>'\"#%@`\\\t\n\r 0aZ~é\0\x1b\x07\x7f\x85\x9b\u200b\u202e\u2028\ud800\udc80\U000e0041",
    *("${", "$${", "${A", ":-", ":?", "self.", ".ports.", "&a ", "*a", "<<: ", "? ", "- ", "!!int ", "---\n", "\r\n"),
    *(
        "\x1b[31m",
        "\x1b[0m",
        "\x1b[2J",
        "\x1b]0;t\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x9b31m",
        "\x1b[1;",
        "\x1bP",
        "\x1b",
    ),
    *(
        '"id":',
        '"method":',
        '"jsonrpc":"2.0"',
        "{}",
        "[]",
        "null",
        "true",
        "1e999",
        "-0",
        "NaN",
        "\\ud800",
        '\\"',
        "}}",
    ),
    *(
        "99999999999999999999",
        "on",
        "22:22",
        "017",
        "type: ",
        "dependencies: ",
        "\ufeff",
        "x" * 300,
        "[" * 200,
        "{" * 200,
    ),
    *('{"a":' * 300, "9" * 5000),
)
ENDS = (0, 0, 1, 1, 3, 20)


def strange_text(dice: Random, text: str) -> str:
    """One text with one to four places changed."""
    for _ in range(1 + int(dice.random() * 4)):
        at = int(dice.random() * (len(text) + 1))
        end = min(len(text), at + dice.choice(ENDS))
        kind = dice.random()
        if kind < 0.7:
            new = dice.choice(PIECES)
        elif kind < 0.9 and text:
            start = int(dice.random() * len(text))
            new = text[start : start + int(dice.random() * 40)]
        else:
            new = chr(int(dice.random() * 0x11000))
        text = text[:at] + new + text[end:]
    return text


def strange_bytes(dice: Random, data: bytes, pieces: Sequence[bytes]) -> bytes:
    """The same for bytes, with pieces of one's own."""
    for _ in range(1 + int(dice.random() * 4)):
        at = int(dice.random() * (len(data) + 1))
        end = min(len(data), at + dice.choice(ENDS))
        kind = dice.random()
        if kind < 0.5:
            new = dice.choice(pieces)
        elif kind < 0.7:
            new = dice.randbytes(int(dice.random() * 12))
        else:
            start = int(dice.random() * (len(data) + 1))
            new = data[start : start + int(dice.random() * 40)]
        data = data[:at] + new + data[end:]
    return data
