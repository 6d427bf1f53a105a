"""From options to what the compose tool is told, and from containers to how the project is: values only."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from executors.compose.options import ComposeOptions, Pull
from executors.docker.handle import Container
from harness_core.domain.executor import Marker
from harness_core.domain.states import Exit

__all__ = ["LABELS", "USUAL", "Order", "Part", "order_of", "outcome", "project_name"]

#: files that the tool takes by itself, best first; an override lies beside them
USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class LABELS:
    """The labels that both compose tools put on the containers and networks of a project."""

    PROJECT = "com.docker.compose.project"
    SERVICE = "com.docker.compose.service"
    NUMBER = "com.docker.compose.container-number"
    ONEOFF = "com.docker.compose.oneoff"


def project_name(instance: str, marker: Marker, options: ComposeOptions) -> str:
    """The project's name; a derived one is the same for all lives of a service, and nobody else's."""
    if options.project is not None:
        return options.project
    short = "".join(letter for letter in instance.lower() if letter.isalnum())[-8:] or "harness"
    return re.sub(r"[^a-z0-9_-]", "-", f"{marker.stack}-{marker.name}-{short}".lower())


@dataclass(frozen=True, slots=True)
class Order:
    """What the tool is called with, whatever it is to do."""

    project: str
    folder: Path
    files: tuple[Path, ...]
    env_files: tuple[Path, ...]
    options: ComposeOptions

    def _common(self, tool: Sequence[str]) -> list[str]:
        argv = [*tool, "--project-name", self.project, "--project-directory", str(self.folder)]
        for file in self.files:
            argv += ["--file", str(file)]
        for profile in self.options.profiles:
            argv += ["--profile", profile]
        for file in self.env_files:
            argv += ["--env-file", str(file)]
        return [*argv, "--ansi", "never"]

    def config(self, tool: Sequence[str]) -> list[str]:
        """Read the files and say nothing unless they are wrong."""
        return [*self._common(tool), "config", "--quiet"]

    def pull(self, tool: Sequence[str]) -> list[str] | None:
        """Fetch images, where that is to be done beforehand."""
        if self.options.pull is not Pull.ALWAYS:
            return None
        return [*self._common(tool), "pull", "--quiet", *self.options.services]

    def up(self, tool: Sequence[str]) -> list[str]:
        """Make and start what is not there; containers whose definition has changed are made anew."""
        build = ["--build"] if self.options.build else []
        return [*self._common(tool), "up", "--detach", "--remove-orphans", *build, *self.options.services]

    def stop(self, tool: Sequence[str], grace: float) -> list[str]:
        """End all containers, in the order of their dependencies."""
        return [*self._common(tool), "stop", "--timeout", str(max(0, round(grace)))]

    def down(self, tool: Sequence[str]) -> list[str]:
        """Remove containers and networks."""
        volumes = ["--volumes"] if self.options.remove_volumes else []
        return [*self._common(tool), "down", "--remove-orphans", "--timeout", "0", *volumes]


def order_of(options: ComposeOptions, project: str, base_dir: Path, home: str = "") -> Order:
    """The order for a target; its paths are absolute from here on."""
    folder = _placed(base_dir, options.working_dir or ".", home)
    return Order(
        project,
        folder,
        tuple(_placed(folder, file, home) for file in options.files),
        tuple(_placed(folder, file, home) for file in options.env_file),
        options,
    )


def _placed(base: Path, path: str, home: str) -> Path:
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return Path(os.path.normpath(base / path))


# ── the containers of a project ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Part:
    """One container of a project."""

    container: Container

    @property
    def service(self) -> str:
        return self.container.labels.get(LABELS.SERVICE, "")

    @property
    def number(self) -> int:
        text = self.container.labels.get(LABELS.NUMBER, "")
        return int(text) if text.isdecimal() else 0

    @property
    def name(self) -> str:
        """``web-1``."""
        return f"{self.service}-{self.number}"

    @property
    def oneoff(self) -> bool:
        """Made by a command of somebody (``compose run``), and nobody's service."""
        return self.container.labels.get(LABELS.ONEOFF, "").lower() == "true"

    @property
    def health(self) -> str:
        """``starting``, ``healthy``, ``unhealthy``, or empty where nothing is looked at."""
        health: Mapping[str, object] = self.container.state.get("Health") or {}
        status = str(health.get("Status", ""))
        return "" if status == "none" else status


def outcome(parts: Iterable[Part], main: str | None) -> Exit | None:
    """How the project has ended; ``None`` while it goes on.

    It ends when one of its containers ended otherwise than with exit code 0 and the engine does not start it again, as
    with ``up --abort-on-container-failure``; or when all have ended. With ``main`` only that service counts.
    """
    chosen = [part for part in parts if main is None or part.service == main]
    failed = next(
        (p for p in chosen if not p.container.alive and p.container.begun and not p.container.exit().success), None
    )
    if failed is not None:
        exit_ = failed.container.exit()
        note = f"{failed.name}: {exit_}" if main is None else ""
        return Exit(exit_.code, oom=exit_.oom, at=exit_.at, note=note)
    if any(part.container.alive or not part.container.begun for part in chosen):
        return None
    ends = [part.container.exit().at for part in chosen]
    return Exit(code=0, at=max((at for at in ends if at is not None), default=None)) if chosen else None
