"""Disks that can be filled, made read-only and given room again: small tmpfs mounts, by root only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["Disk"]


class Disk:
    """A mounted tmpfs of so many bytes."""

    def __init__(self, path: Path, size: str, inodes: int = 0) -> None:
        self.path = path
        path.mkdir(mode=0o700)
        options = f"size={size},mode=0700" + (f",nr_inodes={inodes}" if inodes else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "faults", str(path)], check=True)

    @property
    def free(self) -> int:
        info = os.statvfs(self.path)
        return info.f_bavail * info.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take up all of its room but ``leave`` bytes, again and again if others give some back."""
        with (self.path / "filler").open("ab") as filler:
            while (room := self.free - leave) > 0:
                try:
                    os.write(filler.fileno(), b"\0" * min(room, 1 << 20))
                except OSError:
                    return

    def empty(self) -> None:
        (self.path / "filler").unlink(missing_ok=True)

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.path)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)
