"""Putting the packages beside this file onto an import path with real metadata, as an installer does."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(project: str, site: Path) -> None:
    """Install the package in the folder ``project`` into ``site``: its modules and its distribution's metadata."""
    source = HERE / project
    about = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    name, version = about["project"]["name"], about["project"]["version"]
    for package in about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(source / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    groups = about["project"]["entry-points"]
    write_metadata(site, name, version, groups)


def write_metadata(site: Path, name: str, version: str, groups: dict[str, dict[str, str]]) -> Path:
    """The ``.dist-info`` folder that makes a distribution known."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = [line for group, points in groups.items() for line in (f"[{group}]", *map(" = ".join, points.items()))]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
