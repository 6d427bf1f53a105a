"""What is fuzzed: everything that reads what somebody else wrote. Each judge knows what may be raised, and what must
hold of whatever comes out."""

from __future__ import annotations

import json
import tempfile
import unicodedata
from pathlib import Path
from random import Random
from typing import Any

from harness.cli.render.escape import escape, escape_line, strip_colours
from harness_core.domain.errors import HarnessError
from harness_core.domain.protocol import OPERATIONS, Role, decode_binary, encode_binary
from harness_core.domain.references import BadReference, parse
from harness_core.domain.substitution import resolve, substitute_environment
from harness_core.doors import rpc
from harness_core.doors.table import Caller, Table
from harness_core.runtime.keeper import wire
from harness_core.runtime.keeper.segments import RECORD
from harness_core.runtime.logs.cursor import MAX_CHUNK, Chunk, Cursor, Gap
from harness_core.runtime.logs.lines import MAX_LINE, Line, split_lines
from harness_core.runtime.logs.ranges import previous_epoch, span_of, tail_start, window_before
from tests.domain.stackkit import load
from tests.fuzz.runner import Target
from tests.fuzz.strange import strange_bytes, strange_text

__all__ = ["TARGETS"]

# ── stack files ──────────────────────────────────────────────────────────────────────────────────────────────────────

ENV = {"A": "1", "PASSWORD": "${x.y}$", "HOME": "/home", "LONG": "s3cret-value"}
FILES = {"/srv/shop/a.env": b"A=1\nB='2'\nexport C=\"3\n4\"\n"}
GOLDEN = [
    path.read_bytes().decode() for path in sorted((Path(__file__).parents[1] / "golden" / "stacks").glob("*.yaml"))
]
STACKS = (
    "name: a\nservices: {b: {target: {type: process, binary: x}}}\n",
    'services:\n  b:\n    target: {type: process, binary: x, args: ["${A}", "${self.p}"]}\n    ports: {p: 80}\n',
    "services:\n  a: {target: {type: container, image: x}, dependencies: [b]}\n  b: {target: {type: process}}\n",
    "services:\n  a:\n    target: {type: remote, host: h, binary: x}\n    health_check: {http: /}\n    restart: no\n",
    "tasks:\n  t: {target: {type: process, binary: x}, timeout: 3s, retries: 2, run: always}\nservices: {}\n",
    "services:\n  a:\n    target: {type: lenient, args: [1, x]}\n    env_file: a.env\n    stop: {signal: INT}\n",
    "x: &a {b: 1}\ny: *a\nservices:\n  <<: *a\n  c: |\n    text\n",
)


def make_stack(dice: Random) -> str:
    corpus = GOLDEN if dice.random() < 0.01 else STACKS
    return strange_text(dice, dice.choice(corpus))


def judge_stack(text: str) -> None:
    """A definition or findings, never both and never neither, and every finding lies inside the file."""
    loaded = load(text, env=ENV, files=FILES)
    failed = any(finding["severity"] == "error" for finding in loaded.diagnostics)
    assert (loaded.stack is None) == failed, "a definition in spite of errors, or none without"
    for finding in loaded.diagnostics:
        assert finding["line"] >= 1, finding
        assert 1 <= finding["column"] < finding["end_column"], finding
        finding["message"].encode(errors="surrogatepass")


# ── references ───────────────────────────────────────────────────────────────────────────────────────────────────────

REFERENCES = ("${A}", "x${db.host}:${db.ports.http}", "${A:-${B:-c}}", "$${A}", "${A:?why}", "${self.url}${t.OUT}", "")


def make_reference(dice: Random) -> str:
    return strange_text(dice, dice.choice(REFERENCES))


def judge_reference(text: str) -> None:
    """A template whose references can all be told and filled in, or a place inside the text that is wrong."""
    try:
        template = parse(text)
    except BadReference as error:
        _judge_place(text, error)
        return
    list(template.references())
    value, missing = substitute_environment(text, ENV)
    if not missing:
        assert isinstance(resolve(value, lambda unit, attribute: "v"), str)


def _judge_place(text: str, error: BadReference) -> None:
    assert 0 <= error.start < error.end <= len(text), "the place of the error is outside"


# ── what comes in over the wire ──────────────────────────────────────────────────────────────────────────────────────


def _table() -> Table:
    async def never(*_: Any) -> Any:
        raise AssertionError("nothing is run here")

    table = Table()
    for name in table.operations:
        table.bind(name, never)
    return table


TABLE = _table()
ADMIN = Caller("fuzz", Role.ADMIN)
PARAMS = ({}, {"names": ["a"], "timeout": 3.5, "stack": None, "argv": ["x"], "name": "n", "id": "i"})
REQUESTS = (
    '{"jsonrpc":"2.0","method":"stream.send","params":{"subscription":1,"item":{"stdin":"YQ=="}}}',
    *(
        json.dumps({"jsonrpc": "2.0", "id": 7, "method": name, "params": params}, separators=(",", ":"))
        for name in OPERATIONS
        for params in PARAMS
    ),
)
BYTES = (
    b"\0\0\0\2{}",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"{",
    b'"',
    b"\xff",
    b"\xed\xa0\x80",
    b"[" * 3000,
    b"9" * 5000,
)
FRAMES = (
    encode_binary({"subscription": 1, "seq": 2, "service": "s/a", "offset": 0, "next": 3}, b"abc"),
    encode_binary({}, b""),
    b"",
)


def make_message(dice: Random) -> str | bytes | tuple[bytes]:
    kind = dice.random()
    if kind < 0.6:
        return strange_text(dice, dice.choice(REQUESTS))
    if kind < 0.8:
        return strange_bytes(dice, dice.choice(REQUESTS).encode(), BYTES)
    return (strange_bytes(dice, dice.choice(FRAMES), BYTES),)


def judge_message(message: str | bytes | tuple[bytes]) -> None:
    if isinstance(message, tuple):
        _judge_frame(message[0])
    else:
        _judge_request(message)
        _judge_keeper_line(message)


def _judge_request(message: str | bytes) -> None:
    """A call that may be made, or an error that can be told."""
    call = None
    try:
        call = rpc.decode(message)
        prepared = TABLE.prepare(call.method, call.params, ADMIN)
        assert prepared.operation.name == call.method
    except HarnessError as error:
        told = json.loads(rpc.refusal(call.id if call else None, error))
        assert told["error"]["data"]["code"] in ("usage", "not-found"), told
        assert "Traceback" not in told["error"]["message"]
    else:
        assert json.loads(rpc.answer(call.id, call.params))["id"] == call.id


def _judge_frame(frame: bytes) -> None:
    """What a client reads: a header and bytes, or a ``ValueError``."""
    try:
        header, payload = decode_binary(frame)
    except ValueError:
        return
    assert isinstance(header, dict)
    assert frame.endswith(payload)


def _judge_keeper_line(message: str | bytes) -> None:
    """What the daemon and the keeper read from each other: an object, or a ``ValueError``."""
    try:
        found = wire.decode(message.encode(errors="surrogatepass") if isinstance(message, str) else message)
    except ValueError:
        return
    assert isinstance(found, dict)


# ── what services wrote ──────────────────────────────────────────────────────────────────────────────────────────────

OUTPUT = (b"one\ntwo\n", b"\n\n\n", b"no end", b"\xff\xfe\n\0\n", b"x" * 3000, b"\r\n\x1b[31mred\x1b[0m\n", b"")
PARTS = (b"\n", b"\n\n", b"\r\n", b"\0", b"\xc3", b"\xed\xa0\x80", b"\x1b[", b"y" * 70_000, b"\n" * 100)


def make_chunks(dice: Random) -> list[Chunk | Gap]:
    found: list[Chunk | Gap] = []
    offset, epoch = int(dice.random() * 1000), 1
    for _ in range(int(dice.random() * 5)):
        if dice.random() < 0.15:
            lost = int(dice.random() * 100)
            found.append(Gap(offset, offset + lost, lost, "lost", 1.0, epoch))
            offset += lost
        epoch += dice.random() < 0.2
        data = strange_bytes(dice, dice.choice(OUTPUT), PARTS)[:MAX_CHUNK]
        if not data:
            continue
        later = sorted({int(dice.random() * len(data)) for _ in range(int(dice.random() * 3))} - {0})
        found.append(Chunk(offset, epoch, data, ((0, 1.0), *((place, 2.0) for place in later))))
        offset += len(data)
    return found


def judge_lines(found: list[Chunk | Gap]) -> None:
    """Every byte but the newlines is in exactly one line, in its place, and no line is longer than it may be."""
    chunks = [chunk for chunk in found if isinstance(chunk, Chunk)]
    stored = {
        chunk.offset + at: chunk.data[at : at + 1] for chunk in chunks[:1] for at in range(min(50, len(chunk.data)))
    }
    lines = [line for line in split_lines(found) if isinstance(line, Line)]
    assert b"".join(line.data for line in lines) == b"".join(chunk.data for chunk in chunks).replace(b"\n", b"")
    for line in lines:
        assert len(line.data) <= MAX_LINE
        assert b"\n" not in line.data
        assert line.at in (1.0, 2.0)
        assert not line.data or stored.get(line.offset, line.data[:1]) == line.data[:1], "not in its place"
    escape_line(b"".join(line.data for line in lines[:3])[:2000].decode("utf-8", "surrogateescape"))


# ── stored output, with files as nobody would leave them ─────────────────────────────────────────────────────────────

FOLDER = tempfile.TemporaryDirectory(prefix="harness-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
INDEX = b"".join(RECORD.pack(10**18 + n * 10**8, n * 4, 1 + n // 3, n % 3, 5) for n in range(6))
RECORDS = (
    RECORD.pack(0, 0, 0, 1, 0),
    RECORD.pack(2**64 - 1, 2**64 - 1, 2**32 - 1, 9, 2**64 - 1),
    b"\0" * 32,
    b"\xff" * 31,
)
BASES = (0, 0, 8, 24, 1000, 2**63, 10**20 - 1)
STARTS = (b"00000000000000000004\n", b"", b"-7", b"9" * 32, b"x", b"\xff", b"1_0", b" 3 ")


def make_folder(dice: Random) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for _ in range(1 + int(dice.random() * 2)):
        name = f"stdout.{dice.choice(BASES):020d}"
        files[f"{name}.log"] = strange_bytes(dice, dice.choice(OUTPUT), PARTS[:-2])
        if dice.random() < 0.8:
            files[f"{name}.idx"] = strange_bytes(dice, INDEX, RECORDS)
    if dice.random() < 0.2:
        files["stdout.start"] = dice.choice(STARTS)
    return files


def judge_tail(files: dict[str, bytes]) -> None:
    """Whatever lies there, reading it ends, stays inside what is asked for, and gives bytes that are stored."""
    folder = Path(FOLDER.name)
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    span = span_of(FOLDER.name, "stdout", since=1e9 if len(files) % 2 else None)
    assert 0 <= span.start <= span.end
    assert span.start <= tail_start(span, 3) <= span.end
    window = window_before(span, span.end, size=64)
    assert all(len(line.data) <= MAX_LINE for line in window.lines)
    epoch = previous_epoch(FOLDER.name)
    if epoch is not None:
        span_of(FOLDER.name, "stdout", epoch=epoch, until=2e9)
    _walk(Cursor(FOLDER.name, "stdout"), sum(map(len, files.values())))


def _walk(cursor: Cursor, size: int) -> None:
    """From the start to the end, in not many more steps than there are bytes."""
    steps = 0
    while (found := cursor.peek()) is not None:
        before = cursor.offset
        cursor.advance(found)
        if isinstance(found, Chunk):
            assert 0 < len(found.data) <= MAX_CHUNK
            assert cursor.offset == before + len(found.data)
        elif cursor.offset < before:
            return  # told as begun anew
        steps += 1
        assert steps <= 50 + size, "it does not end"


# ── the terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────

WRITTEN = ("plain", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\tb\n", "\u202eabc", "ümläut", "\x9b2J", "")
OBEYED = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def make_output(dice: Random) -> str:
    text = strange_text(dice, dice.choice(WRITTEN))
    if dice.random() < 0.3:
        return dice.randbytes(int(dice.random() * 40)).decode("utf-8", "surrogateescape") + text
    return text


def judge_escape(text: str) -> None:
    """Nothing that a terminal or an eye obeys is left, and what is shown is bounded."""
    plain, coloured, line = escape(text), escape(text, colours=True), escape_line(text)
    for shown in (plain, strip_colours(coloured), line):
        if not (shown.isascii() and shown.isprintable()):
            for character in shown:
                _judge_character(character)
    assert len(plain) <= 9 * len(text)
    assert "\n" not in line
    assert coloured == strip_colours(coloured) or coloured.endswith("\x1b[0m")
    plain.encode()
    coloured.encode()


def _judge_character(character: str) -> None:
    harmless = character in "\t\n" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
    assert harmless, f"{character!r} is left"
    assert unicodedata.bidirectional(character) not in OBEYED, f"{character!r} is left"


TARGETS = {
    target.name: target
    for target in (
        Target("loader", make_stack, judge_stack, 5_000),
        Target("references", make_reference, judge_reference, 80_000),
        Target("protocol", make_message, judge_message, 60_000),
        Target("lines", make_chunks, judge_lines, 40_000),
        Target("tail", make_folder, judge_tail, 6_000),
        Target("escape", make_output, judge_escape, 80_000),
    )
}
