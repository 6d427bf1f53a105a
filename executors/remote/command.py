"""From a start to the script of its life on the other machine. Values only: nothing is opened or run here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from executors.remote.options import RemoteOptions
from harness_core.domain.executor import ExecRequest, Marker, StartFailed, StartSpec
from harness_core.domain.layers import Command, line, quote

__all__ = ["FAR", "exec_script", "life_of", "run_of"]

#: what the shell on the other machine is told first
FAR = Path(__file__).with_name("far.sh").read_text(encoding="ascii")
_LIFE = Path(__file__).with_name("life.sh").read_text(encoding="ascii")


def run_of(marker: Marker) -> str:
    """The run directory of a life, below the root of all; names of stacks and units need no quotes anywhere."""
    return f"{marker.stack}/{marker.name}/{marker.epoch}"


def life_of(spec: StartSpec, options: RemoteOptions) -> str:
    """The script of one life. Raises ``StartFailed`` for what no environment there can hold."""
    try:
        command = Command((options.binary, *options.args), _env(spec, options.env), options.working_dir)
    except ValueError as error:
        raise StartFailed(f"cannot start {spec.marker.key}: {error}", permanent=True) from None
    return _LIFE.replace("#ORDER", "\n".join(_order(command)))


def _order(command: Command) -> list[str]:
    steps = []
    if command.cwd is not None:
        steps.append(f"{line(Command(('true',), cwd=command.cwd)).partition(' && ')[0]} || h_refuse place")
    steps += [f"export {name}={quote(value)}" for name, value in command.env.items()]
    program = quote(command.argv[0])
    steps.append(f"command -v {program} >/dev/null || h_refuse program")
    if "/" in command.argv[0]:
        steps.append(f"[ -x {program} ] && [ ! -d {program} ] || h_refuse program")
    # written down right before it becomes the program: from here on it lives
    steps.append("h_identity . || h_refuse record")
    steps.append('[ -z "$h_parent" ] || kill -s KILL "$h_parent"')
    return [*steps, line(Command(command.argv))]


def exec_script(spec: StartSpec, options: RemoteOptions, request: ExecRequest, mark: str) -> str:
    """The script of a command beside the instance; it says ``MARK ready PID`` or ``MARK missing`` first.

    Raises ``ValueError`` for what cannot be run there.
    """
    env = {**_env(spec, options.env), **request.env, "HARNESS_EXEC": mark}
    command = Command(tuple(request.argv), env, options.working_dir)
    setting = line(Command(("true",), env, options.working_dir)).removesuffix(" && exec 'true'")
    missing = f"{{ printf '%s missing\\n' {mark}; exit 127; }}"
    ready = f"printf '%s ready %s\\n' {mark} $$"
    found = f"command -v {quote(command.argv[0])} >/dev/null"
    return f"{{ {setting} && {found}; }} || {missing}\n{ready}\n{line(Command(command.argv))}"


def _env(spec: StartSpec, own: Mapping[str, str]) -> dict[str, str]:
    """What is meant for the instance: the caller's session means nothing on another machine."""
    return {**{name: value for name, value in spec.env.items() if name not in spec.inherited}, **own}
