"""Why a container cannot start, as people would say it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping

from executors.docker.address import BadAddress, find_address
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.options import DockerOptions
from harness_core.domain.executor import Finding, Marker, StartFailed
from harness_core.runtime import ports

__all__ = ["NO_ENGINE", "doctor", "explain", "is_port_conflict"]

#: what to do when the engine cannot be reached
NO_ENGINE = "is Docker installed and running? harness doctor tells"

_PORT = re.compile(
    r":(\d+)(?: failed)?: port is already allocated|listen (?:tcp|udp)\S* \S*?:(\d+): bind: address already in use"
)
_PROGRAM = re.compile(r'exec: \\?"([^"\\]+)\\?"')
_NETWORK = re.compile(r"network (\S+) (?:not found|is not)")
_USER = re.compile(r"unable to find (?:user|group) ([^:\s]+)")
_MOUNT = re.compile(r"bind source path does not exist: (\S+)")
_VOLUME = re.compile(r'error evaluating symlinks from mount source "([^"]*/volumes/([^/"]+)/_data)"')


def is_port_conflict(refused: EngineRefused) -> int | None:
    """The published port that somebody has already, if that is what the engine says."""
    match = _PORT.search(refused.message)
    return int(match[1] or match[2]) if match else None


def explain(refused: EngineRefused, marker: Marker, options: DockerOptions) -> StartFailed:
    """The engine's refusal as a sentence that names the culprit."""
    said, begin = refused.message, f"cannot start {marker.key}"
    port = is_port_conflict(refused)
    if port is not None:
        holder = ports.holder(port)
        by = f"is taken by {holder}" if holder else "is taken"
        return StartFailed(f"{begin}: port {port} {by}", hint="stop it, or publish another port", permanent=True)
    if match := _MOUNT.search(said):
        return StartFailed(
            f"{begin}: there is no {match[1]} to mount", hint="make it, or correct volumes", permanent=True
        )
    if match := _NETWORK.search(said):
        if options.network is None:  # ours: the next try makes it anew
            return StartFailed(f"{begin}: its network {match[1]} was removed by somebody else")
        hint = f"docker network create {match[1]}"
        return StartFailed(f"{begin}: there is no network {match[1]}", hint=hint, permanent=True)
    if match := _VOLUME.search(said):
        hint = f"is its disk mounted? docker volume rm {match[2]} lets it begin anew, empty"
        return StartFailed(f"{begin}: the volume {match[2]} has lost its folder {match[1]}", hint=hint, permanent=True)
    if "could not select device driver" in said:
        hint = "install the GPU vendor's container toolkit for this engine, or take gpus out"
        return StartFailed(
            f"{begin}: this engine has no driver for the GPUs that it asks for", hint=hint, permanent=True
        )
    if "error gathering device information" in said:
        return StartFailed(f"{begin}: a device that it asks for is not there: {said}", permanent=True)
    if match := _PROGRAM.search(said):
        if "permission denied" in said:
            return StartFailed(f"{begin}: {match[1]} in the image is not executable", permanent=True)
        if "not found" in said or "no such file" in said:
            return StartFailed(
                f"{begin}: there is no program {match[1]} in the image",
                hint="command and entrypoint are what is run; does the image have it?",
                permanent=True,
            )
    if match := _USER.search(said):
        return StartFailed(f"{begin}: there is no user {match[1]} in the image", permanent=True)
    permanent = refused.status < 500 or "OCI runtime" in said
    return StartFailed(f"{begin}: the engine says: {said.strip()}", permanent=permanent)


async def doctor(env: Mapping[str, str] | None = None) -> list[Finding]:
    """Engine, context, interface, rights, and what having them means."""
    name = "docker engine"
    try:
        address = await asyncio.to_thread(find_address, os.environ if env is None else env)
    except BadAddress as error:
        return [Finding(name, "warning", str(error), "only containers need it")]
    engine = Engine.of(address)
    try:
        where = f"{address.url} ({address.source})"
        version = await engine.call(lambda client: client.version(), deadline=5.0)
    except EngineLost as error:
        there = await asyncio.to_thread(os.path.exists, address.socket or "/")
        if address.source == "default" and not there:
            return [Finding(name, "ok", f"none at {address.url}; only containers need one")]
        hint = error.remedy or "is Docker running, and does DOCKER_HOST or the context name it?"
        return [Finding(name, "warning", str(error), f"only containers need it; {hint}")]
    except EngineRefused as refused:
        return [Finding(name, "problem", f"{where}: {refused.message}")]
    finally:
        await engine.release()
    detail = f"{version.get('Version', 'unknown version')} at {where}, interface {engine.version}"
    return [Finding(name, "ok", detail), await asyncio.to_thread(_rights, address.socket)]


def _rights(socket: str | None) -> Finding:
    name = "docker rights"
    means = "whoever may use the engine can become root on its machine, and so can this daemon's admins and operators"
    if socket is None:
        return Finding(name, "ok", f"by TLS certificate; {means}")
    try:
        mode = os.stat(socket).st_mode & 0o777
    except OSError as error:
        return Finding(name, "warning", f"{socket}: {error.strerror}")
    if mode & 0o002:
        return Finding(name, "problem", f"every user of this machine may use {socket}; {means}", f"chmod o-rw {socket}")
    return Finding(name, "ok", f"{socket} is yours to use; {means}")
