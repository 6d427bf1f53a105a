"""The table of commands: what exists, in one line each, and which module holds it. Nothing is imported to show it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

__all__ = ["ALIASES", "COMMANDS", "Command", "load"]


class Command(NamedTuple):
    summary: str
    #: the heading under which ``harness --help`` shows it
    section: str
    #: below ``harness.cli.verbs``; a module with ``VERB``, or with ``VERBS`` for a group
    module: str


_STACK, _LOOK, _FILES, _ADMIN = "Run", "Look", "Stack files", "Daemon and access"

COMMANDS: dict[str, Command] = {
    "start": Command("Start a stack file, or units that are registered.", _STACK, "start"),
    "stop": Command("Stop units, stacks or everything.", _STACK, "stop"),
    "restart": Command("Stop and start units again.", _STACK, "restart"),
    "run": Command("Run a task, show its output and pass its exit code on.", _STACK, "run"),
    "exec": Command("Run a command in a unit's context.", _STACK, "exec"),
    "wait": Command("Wait until units are ready, stopped or completed.", _STACK, "wait"),
    "adopt": Command("Take over a process or container that already runs.", _STACK, "adopt"),
    "forget": Command("Give up a unit or stack without stopping anything.", _STACK, "forget"),
    "status": Command("Show all units as they are.", _LOOK, "status"),
    "logs": Command("Show what units wrote.", _LOOK, "logs"),
    "describe": Command("Show everything about one unit.", _LOOK, "describe"),
    "explain": Command("Say why a unit is as it is.", _LOOK, "explain"),
    "events": Command("Show what happened.", _LOOK, "events"),
    "graph": Command("Show the dependency graph.", _LOOK, "graph"),
    "top": Command("Show processor time and memory, live.", _LOOK, "top"),
    "validate": Command("Check a stack file.", _FILES, "validate"),
    "plan": Command("Show what starting a stack file would do.", _FILES, "plan"),
    "init": Command("Write a commented stack file to begin with.", _FILES, "init"),
    "import": Command("Make a stack file of what other tools read.", _FILES, "importing"),
    "schema": Command("Print the JSON Schema of stack files.", _FILES, "schema"),
    "daemon": Command("Run, start, stop and look at the daemon.", _ADMIN, "daemon"),
    "doctor": Command("Check this machine, the client and the daemon.", _ADMIN, "doctor"),
    "plugins": Command("List installed plugins, the broken ones named.", _ADMIN, "plugins"),
    "token": Command("Give and take access.", _ADMIN, "token"),
    "audit": Command("Check the record of who did what.", _ADMIN, "audit"),
    "cert": Command("Show and renew the daemon's certificate.", _ADMIN, "cert"),
    "context": Command("Remember daemons by name.", _ADMIN, "context"),
    "completion": Command("Complete commands and names in the shell.", _ADMIN, "completion"),
    "version": Command("Print the version.", _ADMIN, "version"),
    "help": Command("Show help on a command or a topic.", _ADMIN, "help"),
}

ALIASES = {"up": "start", "down": "stop", "ps": "status"}


def load(name: str) -> ModuleType:
    """The module of a command. Raises ``KeyError`` for a name that the table does not have."""
    return import_module(f"harness.cli.verbs.{COMMANDS[name].module}")
