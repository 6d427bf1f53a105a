"""Answers of the daemon to text: pure functions from rows and a ``Style`` to strings, each with golden files.

Nothing here reads a clock, an environment or a terminal; what comes from services passes ``escape`` first.
"""
