"""Stored output: raw bytes in segment files, found again by offset, time, life and line; see ``keeper/segments.py``."""

from harness_core.runtime.logs.store import LogStore

__all__ = ["LogStore"]
