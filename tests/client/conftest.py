"""The doors of the tests next door, for the client to knock at."""

from __future__ import annotations

from tests.doors.conftest import house

__all__ = ["house"]
