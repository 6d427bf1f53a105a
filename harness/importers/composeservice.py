"""One service of a compose file as a unit with a container."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.importers.composeparts import (
    build_of,
    check_of,
    gpus_of,
    logs_of,
    memory_of,
    port_of,
    restart_of,
    volume_of,
)
from harness.importers.composeshared import OWN_NETWORK, Shared
from harness.importers.draft import Block
from harness.importers.items import Fields, Item, Report, Spot

__all__ = ["ComposeService"]

_REASONS = {
    "privileged": "it would give the machine to the container; cap_add and devices give what it needs",
    "stdin_open": "nobody writes to a service's standard input",
    "tty": "a service gets no terminal",
    "develop": "files are not watched",
    "volumes_from": "name the volumes themselves",
    "external_links": "containers of other projects are not known here",
    "attach": "harness logs shows every service that is asked for",
}
_PULL = {"always": "always", "never": "never", "missing": "missing", "if_not_present": "missing"}


class ComposeService:
    """One service being read. ``remarks`` say what is different here."""

    def __init__(self, name: str, fields: Fields, shared: Shared) -> None:
        self.name = name
        self.fields = fields
        self.remarks: list[str] = []
        self._shared = shared

    # ── what others need to know of it ───────────────────────────────────────────────────────────────────────────────

    @property
    def copies(self) -> int:
        deploy = self.fields.peek("deploy")
        for item in (None if deploy is None else deploy.entries.get("replicas"), self.fields.peek("scale")):
            if item is not None and item.text.isdecimal():
                return int(item.text)
        return 1

    @property
    def has_check(self) -> bool:
        """Whether its health is looked at."""
        check = self.fields.peek("healthcheck")
        return check is not None and check_of(Fields(check, "", Report())) is not None

    @property
    def may_be_task(self) -> bool:
        restart = self.fields.peek("restart")
        stays = restart is not None and restart.text in ("always", "unless-stopped")
        return not stays and not self.has_check and "ports" not in self.fields and self.copies == 1

    def needs(self) -> Iterator[tuple[str, Spot, dict[str, object]]]:
        """What it depends on, where that stands, and how; links are dependencies as well."""
        for spot, link in self.fields.texts_with_spots("links"):
            yield link.partition(":")[0], spot, {"condition": "started"}
        item = self.fields.take("depends_on")
        if item is None:
            return
        if isinstance(item.value, list):
            for inner in item.value:
                yield inner.text, inner.spot, {"condition": "started"}
            return
        for name, inner in item.entries.items():
            how = Fields(inner, f"{self.fields.path}.depends_on.{name}", self.fields.report)
            need: dict[str, object] = {"condition": (how.text("condition") or "started").removeprefix("service_")}
            if not how.flag("required", True):
                need["required"] = False
            if how.flag("restart"):
                need["restart"] = True
            how.rest({}, "it has no counterpart")
            yield name, inner.spot, need

    # ── the unit ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def unit(self, *, is_task: bool, renamed: bool) -> Block:
        """The whole unit but its dependencies; ``renamed`` says that it is called otherwise than in the file."""
        fields, unit, target = self.fields, Block(), Block(type="docker")
        for key in ("depends_on", "links"):
            fields.take(key)
        self._image(target)
        self._program(target)
        env = fields.pairs("environment")
        target.put("env", {key: f"${{{key}:-}}" if value is None else value for key, (_, value) in env.items()})
        self._ports(target)
        self._mounts(target)
        self._network(target, [self.name] if renamed else [])
        self._passed_on(target)
        deploy = fields.fields("deploy")
        unit.put("target", target)
        unit.put("env_file", list(self._env_files()))
        unit.put("profiles", fields.texts("profiles"))
        if self.copies == 0:
            unit.put("enabled", False, "it had no copies")
        check = check_of(fields.fields("healthcheck"))
        policy = restart_of(fields.text("restart"), deploy.fields("restart_policy"))
        if is_task:
            unit.put("run", "always", "at every start, as compose does")
            unit.put("retries", policy.get("retries"))
        else:
            unit.put("health_check", check)
            unit.put("restart", {key: value for key, value in policy.items() if key != "retries"})
        self._stop(unit)
        self._limits(unit, target, deploy)
        unit.put("logs", logs_of(fields.fields("logging")))
        for key in ("replicas", "labels"):
            deploy.take(key)
        deploy.rest({"mode": "there is one engine"}, "it is for a swarm")
        if "expose" in fields:
            self.remarks.append("expose: containers of the stack reach each other at every port")
        for key in ("expose", "scale"):
            fields.take(key)
        fields.rest(_REASONS, "it has no counterpart")
        return unit

    def _image(self, target: Block) -> None:
        fields = self.fields
        build = fields.peek("build")
        target.put("image", fields.text("image"))
        if build is not None:
            place = self._shared.layers.place
            target.put("build", build_of(fields, lambda path: place(path, build)))
        elif "image" not in target.entries:
            fields.report.wrong(fields.origin, f"{fields.path} has neither image nor build")
        pull = fields.peek("pull_policy")
        word = fields.text("pull_policy")
        if word in _PULL:
            target.put("pull", _PULL[word])
        elif pull is not None:
            fields.report.lose(pull.spot, f"{fields.path}.pull_policy", f"{word} is none of missing, always and never")
        target.put("platform", fields.text("platform"))

    def _program(self, target: Block) -> None:
        for key in ("entrypoint", "command"):
            item = self.fields.peek(key)
            words = self.fields.texts(key)
            if item is not None:
                value = words if isinstance(item.value, list) else item.text
                target.entries[key] = value
        target.put("user", self.fields.text("user"))
        target.put("working_dir", self.fields.text("working_dir"))

    def _ports(self, target: Block) -> None:
        ports: list[int | str] = []
        local = False
        for item in self.fields.items("ports"):
            written, is_local = port_of(item, f"{self.fields.path}.ports", self.fields.report)
            if written is not None:
                ports.append(written)
                local = local or is_local
        remark = ["published for this machine alone; for others write 0.0.0.0:…"] if local else []
        target.put("ports", ports, *remark)

    def _mounts(self, target: Block) -> None:
        """Volumes, and the files that secrets and configs are."""
        volumes: list[str] = []
        tmpfs = self.fields.texts("tmpfs")
        for item in self.fields.items("volumes"):
            kind, text = volume_of(item, f"{self.fields.path}.volumes", self._shared, self.fields.report)
            (tmpfs if kind == "tmpfs" else volumes).append(text)
        for kind, folder in (("secrets", "/run/secrets/"), ("configs", "/")):
            for item in self.fields.items(kind):
                volumes += self._file(kind, folder, item)
        target.put("volumes", [volume for volume in volumes if volume])
        target.put("tmpfs", [text for text in tmpfs if text])

    def _file(self, kind: str, folder: str, item: Item) -> list[str]:
        """A secret or config that is a file, mounted for reading."""
        name = item.entries.get("source", item).text
        known = self._shared.files[kind].get(name)
        file = None if known is None else known.entries.get("file")
        if file is None:
            self.fields.report.lose(
                item.spot, f"{self.fields.path}.{kind}: {name}", "only one from a file can be mounted"
            )
            return []
        target = item.entries.get("target")
        inside = folder + name if target is None else target.text
        inside = inside if inside.startswith("/") else folder + inside
        self.remarks.append(f"{kind}: {name} is mounted from its file, with that file's owner and mode")
        return [f"{self._shared.layers.place(file.text, file)}:{inside}:ro"]

    def _network(self, target: Block, aliases: list[str]) -> None:
        fields = self.fields
        mode_at, mode = fields.peek("network_mode"), fields.text("network_mode")
        item = fields.take("networks")
        names = frozenset({OWN_NETWORK})
        if item is not None:
            listed = [inner.text for inner in item.value] if isinstance(item.value, list) else list(item.entries)
            names = frozenset(listed) or names
            for name, inner in item.entries.items():
                how = Fields(inner, f"{fields.path}.networks.{name}", fields.report)
                aliases += how.texts("aliases")
                how.rest({}, "the engine gives addresses")
        if mode in ("host", "none", "bridge"):
            target.put("network", mode)
            return
        if mode_at is not None:
            fields.report.lose(
                mode_at.spot, f"{fields.path}.network_mode", "a container cannot take the network of another"
            )
        network = self._shared.network(names, item.spot if item else fields.origin, fields.path)
        target.put("network", network)
        target.put("aliases", list(dict.fromkeys(aliases)))

    def _passed_on(self, target: Block) -> None:
        """What has the same name here and there."""
        fields = self.fields
        target.put("hostname", fields.text("hostname"))
        target.put("name", fields.text("container_name"))
        target.put("labels", {key: value or "" for key, (_, value) in fields.pairs("labels").items()})
        for key in ("init", "read_only"):
            if fields.flag(key):
                target.put(key, True)
        for key in ("cap_add", "cap_drop", "security_opt", "devices"):
            target.put(key, fields.texts(key))
        hosts = fields.take("extra_hosts")
        if hosts is not None:
            listed = hosts.value if isinstance(hosts.value, list) else []
            pairs = [re.split(r"[=:]", one.text, maxsplit=1) for one in listed]
            mapped = {key: item.text for key, item in hosts.entries.items()}
            target.put("extra_hosts", mapped | {pair[0]: pair[1] for pair in pairs if len(pair) == 2})

    def _env_files(self) -> Iterator[str]:
        for item in self.fields.items("env_file"):
            path = item.entries.get("path", item).text
            required = item.entries.get("required")
            if "format" in item.entries:
                self.fields.report.lose(item.spot, f"{self.fields.path}.env_file.format", "'${…}' in it is a reference")
            optional = required is not None and required.value is False
            yield ("?" if optional else "") + self._shared.layers.place(path, item)

    def _stop(self, unit: Block) -> None:
        signal, grace = self.fields.text("stop_signal"), self.fields.text("stop_grace_period")
        stop = {"signal": signal.upper().removeprefix("SIG") if signal else None, "timeout": grace}
        unit.put("stop", {key: value for key, value in stop.items() if value})

    def _limits(self, unit: Block, target: Block, deploy: Fields) -> None:
        fields = self.fields
        resources = deploy.fields("resources")
        upper, reserved = resources.fields("limits"), resources.fields("reservations")
        memory = memory_of(upper, "memory") or memory_of(fields, "mem_limit")
        cpu = upper.number("cpus") or fields.number("cpus")
        ulimits = fields.fields("ulimits")
        files = ulimits.take("nofile")
        soft = None if files is None else files.entries.get("soft", files)
        limits = {"memory": memory, "cpu": cpu, "nofile": int(soft.text) if soft and soft.text.isdecimal() else None}
        unit.put("limits", {key: value for key, value in limits.items() if value})
        inner = {"pids": upper.number("pids") or fields.number("pids_limit"), "shm": memory_of(fields, "shm_size")}
        target.put("limits", {key: value for key, value in inner.items() if value})
        target.put("gpus", gpus_of(fields, reserved))
        upper.rest({}, "it has no counterpart")
        reserved.rest({}, "nothing is reserved")
        resources.rest({}, "it has no counterpart")
        ulimits.rest({}, "of these only nofile is known")
