"""What a start would do, wave by wave, and why."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import pad
from harness.cli.render.style import Style, paint

if TYPE_CHECKING:
    from harness_core.domain.protocol import PlanResult, PlanStep

__all__ = ["affected_lines", "is_asked", "plan_lines"]

_ACTIONS = {
    "start": ("+", "green"),
    "run": ("+", "green"),
    "restart": ("~", "yellow"),
    "stop": ("-", "red"),
    "remove": ("-", "red"),
    "keep": ("=", "dim"),
    "skip": ("=", "dim"),
}
#: waves in which nothing is started come last and have no number
_LATER = ("stop", "remove")


def plan_lines(plan: PlanResult, style: Style) -> list[str]:
    """The plan of one stack; a sentence when there is nothing to do."""
    lines = [] if plan["empty"] else [paint(style, f"plan for {plan['stack']}", "bold")]
    steps = plan["steps"]
    width = max((len(step["name"]) for step in steps), default=0)
    waves = sorted({step["wave"] for step in steps if step["action"] not in _LATER})
    for number, wave in enumerate(waves, start=1):
        members = [step for step in steps if step["wave"] == wave and step["action"] not in _LATER]
        lines.append(paint(style, f"wave {number}", "dim"))
        lines += _steps(members, width, style)
    ending = [step for step in steps if step["action"] in _LATER]
    if ending:
        lines += [paint(style, "ended", "dim"), *_steps(ending, width, style)]
    if plan["empty"]:
        lines.append(f"{plan['stack']} is as the file says; nothing to do")
    for problem in plan["problems"]:
        lines.append(f"{paint(style, 'problem:', 'red')} {escape_line(problem)}")
    if not plan["empty"]:
        lines.append(_totals(steps))
    return lines


def _steps(steps: Sequence[PlanStep], width: int, style: Style) -> list[str]:
    lines = []
    for step in steps:
        sign, colour = _ACTIONS.get(step["action"], ("?", ""))
        why = f"  {escape_line(step['why'])}" if step["why"] else ""
        text = f"{sign} {pad(step['action'], 7)}  {pad(step['name'], width)}"
        lines.append(f"  {paint(style, text, colour)}{why}".rstrip())
        unsaid = [changed for changed in step["changes"] if changed not in step["why"]]
        lines += [f"      {paint(style, escape_line(changed), 'dim')}" for changed in unsaid]
    return lines


def _totals(steps: Sequence[PlanStep]) -> str:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step["action"]] = counts.get(step["action"], 0) + 1
    order = [action for action in _ACTIONS if action in counts] + [a for a in counts if a not in _ACTIONS]
    return "to do: " + ", ".join(f"{counts[action]} {action}" for action in order)


def is_asked(step: PlanStep, plan: PlanResult, asked: Sequence[str]) -> bool:
    """Whether a step is about a unit that was itself named: by name, "stack/name", stack or glob."""
    spellings = (step["name"], f"{plan['stack']}/{step['name']}", plan["stack"])
    return any(fnmatchcase(spelling, pattern) for spelling in spellings for pattern in asked)


def affected_lines(plan: PlanResult, asked: Sequence[str], style: Style) -> list[str]:
    """Before a stop: what else would stop because it needs what was named. Empty when nothing would."""
    others = [step for step in plan["steps"] if step["action"] in _LATER and not is_asked(step, plan, asked)]
    if not others:
        return []
    width = max(len(step["name"]) for step in others)
    lines = [f"stopping {', '.join(asked)} also stops:"]
    for step in others:
        why = f"  {escape_line(step['why'])}" if step["why"] else ""
        lines.append(f"  {paint(style, '-', 'red')} {pad(step['name'], width)}{why}".rstrip())
    return lines
