"""The dependency graph as a tree, Mermaid, DOT, and the chain that decided how long the start took."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from harness.cli.render.layout import pad
from harness.cli.render.style import Style, paint, state_colour, state_mark
from harness.cli.render.units import took

if TYPE_CHECKING:
    from harness_core.domain.protocol import GraphEdge, GraphResult

__all__ = ["critical_lines", "dot_lines", "mermaid_lines", "tree_lines"]


class _Need(NamedTuple):
    source: str
    target: str
    edge: GraphEdge


class _Drawing:
    """The graph by one spelling of names: "stack/name" inside, and bare where only one stack is drawn."""

    def __init__(self, graph: GraphResult) -> None:
        self.nodes = {f"{node['stack']}/{node['name']}": node for node in graph["nodes"]}
        self._bare = {node["name"]: key for key, node in self.nodes.items()}
        self._single = len({node["stack"] for node in graph["nodes"]}) <= 1
        self.needs = [_Need(self.key(e["source"]), self.key(e["target"]), e) for e in graph["edges"]]
        self.critical = [self.key(name) for name in graph["critical_path"]]

    def key(self, name: str) -> str:
        return name if name in self.nodes else self._bare.get(name, name)

    def shown(self, key: str) -> str:
        node = self.nodes.get(key)
        return node["name"] if node and self._single else key

    def needs_of(self, key: str) -> list[_Need]:
        return [need for need in self.needs if need.source == key]

    def roots(self) -> list[str]:
        """What nothing needs; then everything, so that what is drawn does not rest on the graph having no cycle."""
        targets = {need.target for need in self.needs}
        return [key for key in self.nodes if key not in targets] + list(self.nodes)


def tree_lines(graph: GraphResult, style: Style) -> list[str]:
    """What nothing needs stands at the left, what it needs below it; a unit drawn before is not opened again."""
    drawing = _Drawing(graph)
    lines: list[str] = []
    seen: set[str] = set()

    def draw(key: str, need: _Need | None, prefix: str, last: bool) -> None:
        needs = drawing.needs_of(key)
        again = key in seen and bool(needs)
        branch = prefix + style.sign("└─" if last else "├─") + " " if need else ""
        lines.append(branch + _label(drawing, key, need, again, style))
        if key in seen:
            return
        seen.add(key)
        below = prefix + ("   " if last else pad(style.sign("│"), 3)) if need else ""
        for index, inner in enumerate(needs, start=1):
            draw(inner.target, inner, below, index == len(needs))

    for root in drawing.roots():
        if root not in seen:
            draw(root, None, "", True)
    return lines


def _label(drawing: _Drawing, key: str, need: _Need | None, again: bool, style: Style) -> str:
    node = drawing.nodes.get(key)
    state = node["state"] if node else "unknown"
    notes = []
    if need:
        notes.append(need.edge["condition"])
        notes += ["optional"] * (not need.edge["required"]) + ["by reference"] * need.edge["implied"]
    if again:
        notes.append("see above")
    text = f"{state_mark(style, state)} {paint(style, drawing.shown(key), 'bold')}"
    if node and node["kind"] == "task":
        notes.insert(0, "task")
    note = paint(style, f"  ({', '.join(notes)})", "dim") if notes else ""
    return f"{text}  {paint(style, state.replace('_', ' '), state_colour(state))}{note}"


def mermaid_lines(graph: GraphResult) -> list[str]:
    """A Mermaid flowchart; arrows point from what is needed to what needs it, in the order of the start."""
    drawing = _Drawing(graph)
    ids = {key: f"n{index}" for index, key in enumerate(drawing.nodes)}
    lines = ["flowchart LR"]
    for key, node in drawing.nodes.items():
        opening, closing = ("([", "])") if node["kind"] == "task" else ("[", "]")
        lines.append(f'  {ids[key]}{opening}"{drawing.shown(key)}"{closing}')
    for need in drawing.needs:
        if need.source in ids and need.target in ids:
            arrow = "-->" if need.edge["required"] else "-.->"
            lines.append(f"  {ids[need.target]} {arrow}|{need.edge['condition']}| {ids[need.source]}")
    if critical := [ids[key] for key in drawing.critical if key in ids]:
        lines += ["  classDef critical stroke-width:3px", f"  class {','.join(critical)} critical"]
    return lines


def dot_lines(graph: GraphResult) -> list[str]:
    """A graph for Graphviz, in the order of the start."""
    drawing = _Drawing(graph)
    lines = ["digraph harness {", "  rankdir=LR;", "  node [shape=box];"]
    for key, node in drawing.nodes.items():
        features = ["shape=ellipse"] * (node["kind"] == "task") + ["penwidth=3"] * (key in drawing.critical)
        label = ", ".join([f"label={_quote(drawing.shown(key))}", *features])
        lines.append(f"  {_quote(key)} [{label}];")
    for need in drawing.needs:
        style = "" if need.edge["required"] else ", style=dashed"
        label = _quote(need.edge["condition"])
        lines.append(f"  {_quote(need.target)} -> {_quote(need.source)} [label={label}{style}];")
    return [*lines, "}"]


def _quote(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def critical_lines(graph: GraphResult, style: Style) -> list[str]:
    """The chain of units whose times add up to the time of the whole start."""
    drawing = _Drawing(graph)
    if not drawing.critical:
        return ["no unit has become ready yet; there is no critical path"]
    width = max(len(drawing.shown(key)) for key in drawing.critical)
    lines = [paint(style, f"critical path: {took(graph['critical_seconds'])}", "bold")]
    total = 0.0
    for key in drawing.critical:
        node = drawing.nodes.get(key)
        seconds = node["took_seconds"] if node else None
        total += seconds or 0.0
        spent = took(seconds) or "-"
        lines.append(f"  {pad(drawing.shown(key), width)}  {pad(spent, 8, right=True)}  {took(total):>8}")
    return lines
