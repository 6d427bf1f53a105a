"""The yardsticks' programs, installed by their own ordinary clients into a cache outside of the checkout.

``HARNESS_BENCH_CACHE`` names another folder than ``~/.cache/harness-bench``. Debian's packages are unpacked there, not
installed, so nothing on the machine changes and no root is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

__all__ = ["Stock"]

#: the newest at the time of writing; a benchmark against a moving yardstick says nothing about us
_PYPI = ("supervisor==4.3.0", "circus==0.19.0", "setuptools<81")
_NPM = ("pm2@7",)
_DEBIAN = ("s6", "runit", "execline", "libskarnet2.13", "libexecline2.9", "libs6-2.11")


class Stock:
    """Paths of programs; each is made at its first use."""

    def __init__(self, cache: Path | None = None) -> None:
        default = Path(os.environ.get("HARNESS_BENCH_CACHE") or Path.home() / ".cache" / "harness-bench")
        self.cache = cache or default
        self.cache.mkdir(parents=True, exist_ok=True)

    @cached_property
    def python_tools(self) -> Path:
        """The folder of ``supervisord``, ``supervisorctl``, ``circusd`` and ``circusctl``."""
        folder = self.cache / "python"
        self._once(folder, "supervisor and circus from PyPI", lambda: self._pip(folder))
        return folder / "bin"

    @cached_property
    def pm2(self) -> Path:
        folder = self.cache / "npm"
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *_NPM]
        self._once(folder, "pm2 from npm", lambda: _run(install))
        return folder / "node_modules" / "pm2" / "bin" / "pm2"

    @cached_property
    def debian(self) -> Path:
        """The root under which ``usr/bin/s6-svscan``, ``usr/bin/s6-log`` and ``usr/bin/runsvdir`` lie."""
        folder = self.cache / "debian"
        self._once(folder, "s6 and runit from Debian", lambda: self._debs(folder))
        return folder

    @cached_property
    def writer(self) -> Path:
        """Our own program that writes lines, compiled."""
        source = Path(__file__).with_name("writer.c")
        target = self.cache / "writer"
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            _run(["cc", "-O2", "-o", str(target), str(source)])
        return target

    def environment(self) -> dict[str, str]:
        """For programs of ``debian``, which find one another by PATH."""
        root = self.debian
        path = f"{root}/usr/bin:{root}/bin:{root}/usr/sbin:{root}/sbin:{os.environ['PATH']}"
        return {"PATH": path, "LD_LIBRARY_PATH": ":".join(str(p) for p in sorted((root / "usr/lib").glob("*-linux-*")))}

    def _pip(self, folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *_PYPI])

    def _debs(self, folder: Path) -> None:
        _run(["apt-get", "download", *_known(_DEBIAN)], cwd=folder)
        for package in sorted(folder.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(folder)])

    def _once(self, folder: Path, what: str, install: Callable[[], None]) -> None:
        """Install into a folder unless that was done to its end before."""
        done = folder / "complete"
        if done.exists():
            return
        print(f"installing {what} into {folder}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        install()
        done.touch()


def _known(packages: tuple[str, ...]) -> list[str]:
    """Those of the packages that this Debian has: libraries have their version in their name."""
    return [
        name for name in packages if subprocess.run(["apt-cache", "show", name], capture_output=True).returncode == 0
    ]


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"cannot install what is compared with: {' '.join(command)}\n{done.stderr[-2000:]}")
