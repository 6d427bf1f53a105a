"""Figures for people: durations, sizes, shares."""

from __future__ import annotations

__all__ = ["duration", "percent", "size", "took"]


def took(seconds: float | None) -> str:
    """A short span with its tenths: ``0.3s``, ``12.0s``, ``1m 05s``; "" when unknown."""
    if seconds is None:
        return ""
    return f"{max(0.0, seconds):.1f}s" if seconds < 60 else duration(seconds)


def duration(seconds: float | None) -> str:
    """A span in its two largest units: ``42s``, ``3m 05s``, ``2h 10m``, ``5d 3h``; "-" when unknown."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def size(count: int | None) -> str:
    """Bytes in binary units: ``812 B``, ``1.5 MiB``; "-" when unknown."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{int(value)} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def percent(share: float | None) -> str:
    """``12.5%``; "-" when unknown."""
    return "-" if share is None else f"{share:.1f}%"
