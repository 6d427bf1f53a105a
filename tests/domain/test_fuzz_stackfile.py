"""Seeded mutations of stack files and references: whatever comes in, nothing but findings comes out, and soon.

``HARNESS_FUZZ=20`` does twenty times as many.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from harness_core.domain.diagnostics import Diagnostics
from harness_core.domain.errors import HarnessError
from harness_core.domain.references import BadReference, parse
from harness_core.domain.substitution import resolve, substitute_environment
from harness_core.domain.yamltree import read_tree
from tests.domain.stackkit import load

CORPUS = sorted((Path(__file__).parents[1] / "golden" / "stacks").glob("*.yaml"))
TIMES = int(os.environ.get("HARNESS_FUZZ", "1"))
ENV = {"A": "1", "PASSWORD": "${x.y}$", "HOME": "/home"}
SLOWEST = 1.0

PIECES = (
    *"${}[]:-?.,&*!|>'\"#%@`\\\t\n 0aZ~é\0\x85\u2028",
    *("${", "$${", "${A", ":-", ":?", "self.", ".ports.", "&a ", "*a", "<<: ", "? ", "- ", "!!int ", "---\n", "\r\n"),
    *(
        "99999999999999999999",
        "on",
        "22:22",
        "017",
        "1e999",
        "null",
        "true",
        "type: ",
        "dependencies: ",
        "\ufeff",
        "x" * 300,
    ),
)


def mutated(random_: random.Random, text: str) -> str:
    """One text made strange in one to four places."""
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(text) + 1)
        end = min(len(text), at + random_.choice((0, 0, 1, 1, 3, 20)))
        choice = random_.random()
        if choice < 0.7:
            new = random_.choice(PIECES)
        elif choice < 0.9 and text:
            start = random_.randrange(len(text))
            new = text[start : start + random_.randrange(40)]
        else:
            new = chr(random_.randrange(0x11000))
        text = text[:at] + new + text[end:]
    return text


def mutations(seed: int, count: int, corpus: list[str]) -> Iterator[str]:
    random_ = random.Random(seed)
    for _ in range(count):
        yield mutated(random_, random_.choice(corpus))


def test_references_end_in_a_template_or_a_bad_reference() -> None:
    corpus = ["${A}", "x${db.host}:${db.ports.http}", "${A:-${B:-c}}", "$${A}", "${A:?why}", "${self.url}${t.OUT}"]
    for text in mutations(1, 90_000 * TIMES, corpus):
        before = time.process_time()
        try:
            template = parse(text)
        except BadReference as error:
            assert 0 <= error.start < error.end <= len(text), text  # noqa: PT017 - most texts raise, and all are judged
        else:
            value, missing = substitute_environment(text, ENV)
            if not missing:
                assert isinstance(resolve(value, lambda unit, attribute: "v"), str)
            assert list(template.references()) is not None
        assert time.process_time() - before < SLOWEST, text


def test_trees_end_in_values_or_findings() -> None:
    corpus = [path.read_bytes().decode() for path in CORPUS]
    for text in mutations(2, 6_000 * TIMES, corpus):
        before = time.process_time()
        diagnostics = Diagnostics("a.yaml")
        tree = read_tree(text, diagnostics)
        assert tree is not None or diagnostics.failed, text
        assert time.process_time() - before < SLOWEST, text


def test_stacks_end_in_a_definition_or_findings_inside_the_file() -> None:
    corpus = [path.read_bytes().decode() for path in CORPUS]
    for text in mutations(3, 1_500 * TIMES, corpus):
        before = time.process_time()
        try:
            loaded = load(text, env=ENV)
        except HarnessError as error:
            raise AssertionError(f"{error} for {text!r}") from error
        assert (loaded.stack is None) == any(d["severity"] == "error" for d in loaded.diagnostics), text
        for finding in loaded.diagnostics:
            assert finding["line"] >= 1, text
            assert 1 <= finding["column"] < finding["end_column"], (finding, text)
        assert time.process_time() - before < SLOWEST, text
