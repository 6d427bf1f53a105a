"""``harness context``: daemons on other machines, by name."""

from __future__ import annotations

import sys

from harness.cli import chosen
from harness.cli.grammar import Argument, Verb
from harness.cli.render.admin import context_lines, pairs
from harness.cli.session import Cli
from harness_core.client import contexts
from harness_core.domain.errors import NotFound, UsageError

__all__ = ["HELP", "VERBS"]

HELP = "On the daemon's machine, `harness token create NAME` prints the connection string that is added here."


def add(cli: Cli, *, name: str, address: str) -> int:
    """The string holds a secret, so it may come from standard input instead of the command line, which others see."""
    given = sys.stdin.readline().strip() if address in ("", "-") else address
    saved = contexts.add(name, given, cli.settings.timeout or 5.0)
    body = {"name": name, "url": saved.url, "pin": saved.pin}
    cli.data(body, lambda: [f"added {name}: {saved.url}"], names=lambda: [name])
    cli.note(f"  harness -H {name} status     use it once\n  harness context use {name}   use it from now on")
    return 0


def show_all(cli: Cli) -> int:
    now = chosen.meant(cli.settings.context)
    rows = [{"name": chosen.LOCAL, "url": "this machine", "pin": "", "current": now == chosen.LOCAL}]
    for name, saved in contexts.load().items():
        rows.append({"name": name, "url": saved.get("url", ""), "pin": saved.get("pin", ""), "current": now == name})
    cli.data(
        {"contexts": rows},
        lambda: context_lines(rows, cli.out.style),
        rows="contexts",
        names=lambda: [str(row["name"]) for row in rows],
    )
    return 0


def use(cli: Cli, *, name: str) -> int:
    if name != chosen.LOCAL:
        contexts.endpoint(name)
    chosen.choose(name)
    cli.note(f"commands talk to {name} from now on")
    return 0


def remove(cli: Cli, *, name: str) -> int:
    if name == chosen.LOCAL:
        raise UsageError("cannot remove the local context", hint="it is this user's own daemon")
    contexts.remove(name)
    if chosen.current() == name:
        chosen.choose(chosen.LOCAL)
        cli.note("commands talk to the local daemon from now on")
    cli.note(f"removed {name}")
    return 0


def show(cli: Cli, *, name: str) -> int:
    which = name or chosen.meant(cli.settings.context)
    body: dict[str, object] = {"name": which, "url": "", "pin": ""}
    if which != chosen.LOCAL:
        saved = contexts.load().get(which)
        if saved is None:
            raise NotFound(f"no context is called {which!r}", hint="harness context list")
        body |= {"url": saved.get("url", ""), "pin": saved.get("pin", "")}
    cli.data(body, lambda: pairs(body, cli.out.style), names=lambda: [which])
    return 0


_NAME = Argument("name", "The context.", required=True, complete="context")

VERBS = (
    Verb(
        "add",
        add,
        "The daemon must answer, and must be the one whose pin the string holds. With - or nothing, the string is read "
        "from standard input.",
        arguments=(
            Argument("name", "What to call it.", required=True),
            Argument("address", "harness://host:port/#h1.PIN.TOKEN"),
        ),
        summary="Remember a daemon.",
    ),
    Verb("list", show_all, "", summary="List all."),
    Verb("use", use, "'local' is this machine's own daemon.", arguments=(_NAME,), summary="Talk to it from now on."),
    Verb("remove", remove, "Its token is removed as well.", arguments=(_NAME,), summary="Forget it."),
    Verb(
        "show",
        show,
        "",
        arguments=(Argument("name", "The context; the one in use without it.", complete="context"),),
        summary="Show one.",
    ),
)
