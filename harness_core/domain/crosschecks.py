"""What can only be judged when all units of a stack are known: dependencies, references, ports, checks, cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness_core.domain.diagnostics import Place, did_you_mean
from harness_core.domain.document import Document
from harness_core.domain.drafts import Draft, Use
from harness_core.domain.graph import cycle_in
from harness_core.domain.references import SERVICE_ATTRIBUTES, holds_reference
from harness_core.domain.spec import Condition, Dependency, Probe, ServiceFile
from harness_core.domain.states import Kind
from harness_core.domain.yamlnodes import Path

__all__ = ["check_cycles", "check_dependencies", "check_health", "check_ports", "check_references"]

Drafts = Mapping[str, Draft]

#: of these, nothing but the stack file knows which ports they listen on; a container or a found process may tell itself
_PORTS_DECLARED_ONLY = {"process", "remote", "package", "systemd"}
_MAX_CYCLES = 20


# ── dependencies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def check_dependencies(document: Document, drafts: Drafts) -> None:
    """Every dependency names another unit of this stack, of the kind it says, with a condition that can come true."""
    for draft in drafts.values():
        seen: set[str] = set()
        for index, dependency in draft.dependencies:
            path = _dependency_path(document, draft, index)
            place = _dependency_place(document, path)
            name = dependency.name
            if name == draft.name:
                document.diagnostics.error("self-dependency", f"'{name}' depends on itself", place)
            elif name not in drafts:
                message = f"{document.written(path, name)} is not a service or task of this stack"
                label = "" if document.diagnostics.full else did_you_mean(name, drafts)
                document.diagnostics.error("unknown-dependency", message, place, label=label)
            elif name in seen:
                document.diagnostics.warning(
                    "repeated-dependency", f"'{name}' is listed twice; the first counts", place
                )
            else:
                _check_kind(document, drafts[name], dependency, place)
            seen.add(name)


def _dependency_path(document: Document, draft: Draft, index: int) -> Path:
    """The path of a dependency's name, whichever form it has."""
    for key in ("service", "task"):
        path = document.trace(draft.path, ("dependencies", index, key))
        if path[-1] == key:
            return path
    return document.trace(draft.path, ("dependencies", index))


def _dependency_place(document: Document, path: Path) -> Place:
    named = path[-1] in ("service", "task")
    return document.place_of_value(path) if named else document.place_of_key(path)


def _check_kind(document: Document, other: Draft, dependency: Dependency, place: Place) -> None:
    named = Kind.TASK if dependency.task is not None else Kind.SERVICE
    if other.kind is not named:
        label = f"write {{{other.kind}: {other.name}}}"
        message = f"'{other.name}' is a {other.kind}, not a {named}"
        document.diagnostics.error("wrong-kind", message, place, label=label)
        return
    model = other.model
    if model is None:
        return
    if not model.enabled:
        document.diagnostics.warning("disabled-dependency", f"'{other.name}' is disabled and will not start", place)
    check = model.health_check if isinstance(model, ServiceFile) else None
    if dependency.condition is Condition.HEALTHY and check is None:
        why = "a task is never healthy" if other.kind is Kind.TASK else f"'{other.name}' has no health_check"
        document.diagnostics.error("impossible-condition", f"condition 'healthy' cannot come true: {why}", place)
    elif dependency.condition is Condition.LOG_READY and not any(p.log for p in _probes(check)):
        why = f"'{other.name}' has no health_check with 'log'"
        document.diagnostics.error("impossible-condition", f"condition 'log_ready' cannot come true: {why}", place)


def check_cycles(document: Document, drafts: Drafts) -> None:
    """Report each circle of dependencies once, with the place of every step."""
    needed = {name: _needed(draft) for name, draft in drafts.items()}
    for _ in range(_MAX_CYCLES):
        path = cycle_in({a: [b for b in others if b in needed] for a, others in needed.items()})
        if path is None:
            return
        steps = [(a, b, _edge_place(document, drafts[a], b)) for a, b in pairwise(path)]
        notes = [f"{a} needs {b}: line {place.line}" for a, b, place in steps]
        message = f"dependencies form a cycle: {' → '.join(path)}"
        document.diagnostics.error("dependency-cycle", message, steps[0][2], notes=notes[:50])
        del needed[path[0]]


def _needed(draft: Draft) -> list[str]:
    names = [d.name for _, d in draft.dependencies] + [use.reference.unit for use in draft.uses]
    return [name for name in dict.fromkeys(names) if name != draft.name]


def _edge_place(document: Document, draft: Draft, name: str) -> Place:
    for index, dependency in draft.dependencies:
        if dependency.name == name:
            return _dependency_place(document, _dependency_path(document, draft, index))
    places = [u.place for u in draft.uses if u.reference.unit == name and u.file is None]
    return places[0] if places else document.place_of_key(draft.path)


# ── references ───────────────────────────────────────────────────────────────────────────────────────────────────────


def check_references(document: Document, drafts: Drafts) -> None:
    """Every ``${unit.attribute}`` names a unit of this stack and something that it has."""
    for draft in drafts.values():
        for use in draft.uses:
            name = draft.name if use.reference.unit == "self" else use.reference.unit
            if name not in drafts:
                message = f"{use.reference}: '{name[:80]}' is not a service or task of this stack"
                _report(
                    document,
                    use,
                    "unknown-unit",
                    message,
                    "" if document.diagnostics.full else did_you_mean(name, drafts),
                )
            elif drafts[name].kind is Kind.TASK:
                _check_output(document, use, own=name == draft.name)
            else:
                _check_attribute(document, use, drafts[name])


def _report(document: Document, use: Use, code: str, message: str, label: str = "") -> None:
    document.diagnostics.error(code, message, use.place, label=label, file=use.file)


def _check_output(document: Document, use: Use, *, own: bool) -> None:
    if own:
        _report(document, use, "unknown-attribute", f"{use.reference}: a task has no outputs before it has run")
    elif use.reference.attribute.startswith("ports."):
        _report(document, use, "unknown-attribute", f"{use.reference}: a task has outputs, not ports")


def _check_attribute(document: Document, use: Use, other: Draft) -> None:
    attribute = use.reference.attribute
    port = attribute.removeprefix("ports.")
    if port == attribute and attribute not in SERVICE_ATTRIBUTES:
        known = f"a service has {', '.join(SERVICE_ATTRIBUTES)} and ports.NAME"
        label = did_you_mean(attribute, SERVICE_ATTRIBUTES)
        _report(document, use, "unknown-attribute", f"{use.reference}: {known}", label)
        return
    if attribute in ("host", "ip") or not isinstance(other.model, ServiceFile):
        return
    declared = other.model.ports
    if not declared:
        if other.target_type in _PORTS_DECLARED_ONLY:
            _report(document, use, "unknown-port", f"{use.reference}: '{other.name}' declares no ports")
    elif port != attribute and port not in declared:
        message = f"{use.reference}: '{other.name}' has no port '{port}'"
        _report(document, use, "unknown-port", message, did_you_mean(port, declared))


# ── ports and checks ─────────────────────────────────────────────────────────────────────────────────────────────────


def check_ports(document: Document, drafts: Drafts) -> None:
    """No two services that can run together listen on one fixed port of one machine."""
    taken: dict[tuple[str, int], dict[str, Draft]] = {}
    for draft in drafts.values():
        machine = _machine(draft)
        if machine is None or not isinstance(draft.model, ServiceFile) or not draft.model.enabled:
            continue
        for name, port in draft.model.ports.items():
            if port.port == "auto":
                continue
            holders = taken.setdefault((machine, port.port), {})
            clash = _holder(holders, draft.model.profiles)
            if clash is not None and clash is not draft:
                place = document.place_of_value(document.trace(draft.path, ("ports", name, "port")))
                message = f"port {port.port} is taken by '{clash.name}' of this stack"
                document.diagnostics.error("port-clash", message, place, label="write auto for a free one")
            for profile in draft.model.profiles or ("",):
                holders.setdefault(profile, draft)


def _machine(draft: Draft) -> str | None:
    """Where its ports are taken; ``None`` where a network of its own keeps them apart."""
    if draft.target_type == "remote":
        return f"remote {draft.target.get('host', '')}"
    return "here" if draft.target_type in _PORTS_DECLARED_ONLY else None


def _holder(holders: Mapping[str, Draft], profiles: Sequence[str]) -> Draft | None:
    """Who has a port already, of those that can run together with a unit of these profiles; "" stands for none."""
    if not profiles:
        return next(iter(holders.values()), None)
    return next((holders[profile] for profile in ("", *profiles) if profile in holders), None)


def check_health(document: Document, drafts: Drafts) -> None:
    """Every check has a port to look at, and port names are declared ones."""
    for draft in drafts.values():
        if isinstance(draft.model, ServiceFile) and draft.model.health_check is not None:
            _check_probe(document, draft, draft.model, draft.model.health_check, ("health_check",))


def _check_probe(
    document: Document, draft: Draft, model: ServiceFile, probe: Probe, location: tuple[str | int, ...]
) -> None:
    for kind in ("all", "any"):
        for index, part in enumerate(getattr(probe, kind) or ()):
            _check_probe(document, draft, model, part, (*location, kind, index))
    declared_only = draft.target_type in _PORTS_DECLARED_ONLY
    for kind, check in (("http", probe.http), ("tcp", probe.tcp)):
        if check is None:
            continue
        port = check.port
        path = document.trace(draft.path, (*location, kind, "port"))
        place = document.place_of_value(path)
        if isinstance(port, str) and not port.isdecimal() and not holds_reference(port):
            if port not in model.ports and (model.ports or declared_only):
                message = f"'{draft.name}' declares no port {document.written(path, port)}"
                label = did_you_mean(port, model.ports)
                document.diagnostics.error("unknown-port", message, place, label=label)
        elif port is None and not model.ports and declared_only and not _own_address(check):
            message = f"this check has no port to look at: '{draft.name}' declares no ports"
            document.diagnostics.error("no-port", message, place, label="declare ports, or write port: …")


def _own_address(check: Any) -> bool:
    path = getattr(check, "path", "")
    return "://" in path or path.startswith("${")


def _probes(check: Probe | None) -> Iterator[Probe]:
    if check is not None:
        yield check
        for part in (*(check.all or ()), *(check.any or ())):
            yield from _probes(part)
