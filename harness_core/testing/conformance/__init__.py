"""The conformance suite for executors: what the daemon relies on, tried on yours with the real thing behind it.

Subclass ``ExecutorConformance`` in a test module, under pytest with pytest-asyncio in its ``auto`` mode::

    class TestMine(ExecutorConformance):
        capabilities = Capabilities(exec=False)
        features = frozenset(Feature) - {Feature.DAEMON}

        def make_plugin(self):
            return plugin

        def target(self, program):
            return {"type": "mine", "argv": ["sh", "-c", script(program), "sh", *program.args]}

Tests of what you do not claim do not exist in your class; everything else has to pass. Put
``pytest.register_assert_rewrite("harness_core.testing.conformance")`` into your ``conftest.py`` to see both sides of a
failed assertion.
"""

from __future__ import annotations

from harness_core.testing.conformance.bench import Bench, Instance, processes_with
from harness_core.testing.conformance.beside import Beside
from harness_core.testing.conformance.ending import Ending
from harness_core.testing.conformance.output import Output
from harness_core.testing.conformance.program import Feature, Program, script
from harness_core.testing.conformance.recovering import Recovering
from harness_core.testing.conformance.starting import Starting

__all__ = ["Bench", "ExecutorConformance", "Feature", "Instance", "Program", "processes_with", "script"]


class ExecutorConformance(Starting, Ending, Recovering, Output, Beside):
    """All tests. Fill in ``make_plugin`` and ``target``, and state ``capabilities`` and ``features``."""
