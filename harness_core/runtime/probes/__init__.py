"""Looking at services from outside: one file per kind of probe, and the ``Prober`` that says when."""

from harness_core.runtime.probes.base import Outcome, ProbeContext
from harness_core.runtime.probes.prober import Prober

__all__ = ["Outcome", "ProbeContext", "Prober"]
