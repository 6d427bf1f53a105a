"""Large unkind files end soon, in processor time."""

from __future__ import annotations

import sys
import time

import pytest

from harness_core.domain.yamltree import MAX_BYTES
from tests.domain.stackkit import load

#: seconds; being watched line by line takes its own time
SOON = 4.0 if sys.gettrace() is None else 20.0

UNIT = "target: {type: process, binary: a}"


def many(line: str, count: int) -> str:
    return "".join(line.replace("<n>", str(n)).replace("<m>", str(count - 1 - n)) for n in range(count))


HEAD = "name: s\nservices:\n"
ONE = f"{HEAD}  a:\n    {UNIT}\n"
CASES = {
    "empty services": HEAD + many("  s<n>: {}\n", 10_000),
    "unknown dependencies": HEAD + many("  unit-<n>: {" + UNIT + ", dependencies: [uint-<m>]}\n", 2_500),
    "one unit with many": ONE + "    dependencies: [" + many("b<n>, ", 30_000) + "]\n",
    "a mapping of many": ONE + "    dependencies: {" + many("b<n>: , ", 15_000) + "}\n",
    "a list of ports": ONE + "    ports: [" + many("p<n>, ", 30_000) + "]\n",
    "one port": HEAD + many("  s<n>: {" + UNIT + ", ports: {p: 80}, profiles: [p<n>]}\n", 2_500),
    "a long cycle": HEAD + many("  s<n>: {" + UNIT + ", dependencies: [s<m>]}\n", 2_500),
    "references": HEAD + many("  s<n>: {target: {type: process, binary: '${s<m>.host}'}}\n", 2_500),
    "missing variables": ONE + "    description: " + many("${V<n>}", 30_000) + "\n",
    "hidden variables": ONE + '    description: "' + many(r"\x24{V<n>}", 25_000) + '"\n',
    "hidden references": HEAD
    + '  a: {target: {type: process, binary: "'
    + many(r"\x24{t.V<n>}", 25_000)
    + '"}}\ntasks: {t: {target: {type: process, binary: a}}}\n',
    "wrong values": ONE + "    labels: {" + many("k<n>: [], ", 15_000) + "}\n",
    "unknown keys": ONE + many("    k<n>: 1\n", 15_000),
    "numbers for texts": HEAD + "  a: {target: {type: process, binary: a, args: [" + many("<n>, ", 30_000) + "]}}\n",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_it_ends_soon(text: str) -> None:
    assert len(text) < MAX_BYTES
    before = time.process_time()
    loaded = load(text, env={"SOME": "value-of-some"})
    assert time.process_time() - before < SOON
    assert loaded.stack is not None or loaded.diagnostics
