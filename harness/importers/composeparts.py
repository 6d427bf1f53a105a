"""The parts of a compose service that have a language of their own: ports, volumes, checks, sizes, policies."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.importers.draft import Block, size_text
from harness.importers.items import Fields, Item, Report

if TYPE_CHECKING:
    from harness.importers.composeshared import Shared

__all__ = ["build_of", "check_of", "gpus_of", "logs_of", "memory_of", "port_of", "restart_of", "volume_of"]

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([bkmgt]?)i?b?\s*", re.IGNORECASE)
_DEFAULT = re.compile(r"\$\{\w+:-([^${}]*)\}")
_REFERENCE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
_NUMBERS = re.compile(r"[0-9]+(?:-[0-9]+)?")
#: compose's defaults, where a check does not say it
_PROPAGATION = frozenset({"shared", "rshared", "slave", "rslave", "private", "rprivate"})
_INTERVAL, _TIMEOUT, _RETRIES = "30s", "30s", 3


def split_outside(text: str, sign: str) -> list[str]:
    """Split at a sign, but not within ``${…}``."""
    held = _REFERENCE.findall(text)
    parts = _REFERENCE.sub("\0", text).split(sign)
    values = iter(held)
    return [re.sub("\0", lambda _: next(values), part) for part in parts]


# ── what is reached, and what is mounted ─────────────────────────────────────────────────────────────────────────────


def port_of(item: Item, path: str, report: Report) -> tuple[int | str | None, bool]:
    """A port as it is written here, and whether it was published for everybody and is now for this machine alone."""
    if isinstance(item.value, dict):
        fields = Fields(item, path, report)
        inner, outer, address = fields.text("target"), fields.text("published"), fields.text("host_ip")
        protocol = fields.text("protocol")
        for key in ("mode", "name", "app_protocol"):
            fields.take(key)
        fields.rest({}, "it has no counterpart")
        if inner is None:
            report.wrong(item.spot, f"{path}: a port has a target")
            return None, False
    else:
        whole, _, protocol = item.text.partition("/")
        *before, inner = split_outside(whole, ":")
        outer = before.pop() if before else None
        address = ":".join(before) or None
    suffix = f"/{protocol}" if protocol and protocol != "tcp" else ""
    if not outer:
        is_number = _NUMBERS.fullmatch(inner) and "-" not in inner and not suffix
        return (int(inner) if is_number else f"{inner}{suffix}"), True
    start = f"{address}:" if address else ""
    return f"{start}{outer}:{inner}{suffix}", not address


def volume_of(item: Item, path: str, shared: Shared, report: Report) -> tuple[str, str]:
    """Its kind, ``volume`` or ``tmpfs``, and how it is written here."""
    if isinstance(item.value, dict):
        fields = Fields(item, path, report)
        kind, source, target = fields.text("type") or "volume", fields.text("source"), fields.text("target") or ""
        mode = "ro" if fields.flag("read_only") else ""
        bind = fields.fields("bind")
        bind.take("create_host_path")
        bind.rest({}, "it has no counterpart")
        fields.rest({"tmpfs": "its size is not bounded"}, "it has no counterpart")
        if kind == "tmpfs":
            return "tmpfs", target
        if kind not in ("bind", "volume"):
            report.lose(item.spot, f"{path}: {target}", f"a mount of type {kind} has no counterpart")
            return "volume", ""
    else:
        parts = split_outside(item.text, ":")
        mode = parts.pop() if len(parts) > 1 and not parts[-1].startswith("/") and "/" not in parts[-1] else ""
        source, target = (None, parts[0]) if len(parts) == 1 else (parts[0], parts[-1])
        kind = "bind" if source and source.startswith((".", "/", "~", "${")) else "volume"
    for one in [one for one in mode.split(",") if one in _PROPAGATION]:
        report.lose(item.spot, f"{path}: {one}", "mounts that come later are not passed on")
    mode = ",".join(one for one in mode.split(",") if one not in {*_PROPAGATION, "rw"})
    if source is None:
        return "volume", target
    here = shared.layers.place(source, item) if kind == "bind" else shared.volume(source)
    return "volume", f"{here}:{target}{f':{mode}' if mode else ''}"


def build_of(fields: Fields, place: Callable[[str], str]) -> str | dict[str, object]:
    """How an image is made."""
    item = fields.peek("build")
    if item is not None and not isinstance(item.value, dict):
        return place(fields.text("build") or ".")
    build = fields.fields("build")
    found: dict[str, object] = {"context": place(build.text("context") or ".")}
    for key in ("dockerfile", "target"):
        if text := build.text(key):
            found[key] = text
    args = {key: f"${{{key}:-}}" if value is None else value for key, (_, value) in build.pairs("args").items()}
    if args:
        found["args"] = args
    build.rest({}, "it has no counterpart")
    return found if len(found) > 1 else str(found["context"])


# ── how it is looked after ───────────────────────────────────────────────────────────────────────────────────────────


def check_of(fields: Fields) -> Block | None:
    """A health check with everything that compose would take for granted; ``None`` where there is none."""
    item = fields.peek("test")
    words = fields.texts("test")
    disabled = fields.flag("disable")
    times = {key: fields.text(key) for key in ("interval", "timeout", "start_period")}
    retries = fields.number("retries")
    fields.lose("start_interval", "until it is healthy, it is looked at about twice a second")
    fields.rest({}, "it has no counterpart")
    if disabled or item is None or words[:1] == ["NONE"]:
        return None
    check = Block()
    if not isinstance(item.value, list):
        check.put("command", item.text)
    elif words[:1] == ["CMD-SHELL"]:
        check.put("command", " ".join(words[1:]))
    else:
        check.put("command", words[1:] if words[:1] == ["CMD"] else words)
    check.put("interval", times["interval"] or _INTERVAL)
    check.put("timeout", times["timeout"] or _TIMEOUT)
    check.put("retries", int(retries or _RETRIES))
    check.put("start_period", times["start_period"])
    return check


def restart_of(word: str | None, policy: Fields) -> dict[str, object]:
    """When it is started again; ``retries`` is the same for a task. The engine never gives up unless it is told to."""
    condition, attempts = policy.text("condition"), policy.number("max_attempts")
    policy.lose("delay", "it grows from half a second")
    policy.lose("window", "it has no counterpart")
    policy.rest({}, "it has no counterpart")
    if word is None and condition is not None:
        word = {"none": "no", "on-failure": "on-failure"}.get(condition, "always")
        word += f":{int(attempts)}" if attempts and word == "on-failure" else ""
    name, _, limit = (word or "no").partition(":")
    if name in ("no", "false"):
        return {"policy": "no"}
    if name != "on-failure":
        return {"policy": "always", "burst": 0}
    if not limit.isdecimal():
        return {"policy": "on-failure", "burst": 0, "retries": 1000}
    return {"policy": "on-failure", "burst": int(limit) + 1, "window": "1h", "retries": int(limit)}


def logs_of(fields: Fields) -> dict[str, object]:
    """How much of the output is kept; the daemon keeps it itself, whatever the engine's driver."""
    options = fields.fields("options")
    size, count = memory_of(options, "max-size"), options.number("max-file")
    found: dict[str, object] = {"max_size": size} if size else {}
    if count:
        found["max_files"] = max(2, int(count))
    if (fields.text("driver") or "json-file") in ("json-file", "local", "none"):
        options.rest({}, "it is for the engine's own log")
    else:
        options.rest({}, "it is for another log driver; output is kept by the daemon")
    fields.rest({}, "it has no counterpart")
    return found


def memory_of(fields: Fields, key: str) -> str | int | None:
    """A size; compose counts in powers of 1024. Of a variable, its default."""
    item = fields.peek(key)
    text = fields.text(key)
    if item is None or text is None:
        return None
    if default := _DEFAULT.fullmatch(text):
        fields.report.lose(item.spot, f"{fields.path}.{key}", "a variable cannot stand here; its default was taken")
        text = default[1]
    match = _SIZE.fullmatch(text)
    if match is None:
        fields.report.wrong(item.spot, f"{fields.path}.{key} is no size: write for example 512m")
        return None
    return size_text(int(float(match[1]) * 1024 ** "bkmgt".index(match[2].lower() or "b")))


def gpus_of(fields: Fields, reserved: Fields) -> object:
    """Which devices it asks for; only those of graphics cards are known."""
    item = fields.peek("gpus")
    if item is not None:
        fields.take("gpus")
        if not isinstance(item.value, list):
            return item.value
    requests = item.value if item is not None and isinstance(item.value, list) else reserved.items("devices")
    for one in requests:
        request = Fields(one, f"{reserved.path}.devices", fields.report)
        capabilities = request.texts("capabilities")
        if item is None and "gpu" not in capabilities:
            fields.report.lose(one.spot, request.path, "only graphics cards can be asked for")
            continue
        found: dict[str, object] = {"driver": request.text("driver") or "", "capabilities": capabilities}
        ids, count = request.texts("device_ids"), request.text("count")
        found |= {"devices": ids} if ids else {"count": int(count) if count and count.isdecimal() else "all"}
        request.rest({}, "it has no counterpart")
        return {key: value for key, value in found.items() if value and value != ["gpu"]}
    return None
