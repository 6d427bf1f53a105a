"""The keeper: one small process that is the parent of all local services, so that the daemon may die.

It runs as ``python -I -S <this folder>/__main__.py``, on the standard library alone. Its modules import each other
relatively, because they live under two names: ``keeper`` in that process, ``harness_core.runtime.keeper`` here.
The daemon uses ``segments`` (the log format), ``procfs``, ``wire`` (the framing), ``client`` and ``link``.
"""
