"""The parent of one instance: it starts it, waits for it, and writes down how it ended. The daemon may die meanwhile.

Run as ``python -I -S holder.py RUN_DIRECTORY`` with an empty environment and the run directory's locked file as
descriptor 3: while that lock is held, a holder lives.
"""

import json
import os
import shutil
import signal
import sys
import time


def main(run: str) -> None:
    with open(os.path.join(run, "order"), encoding="ascii") as file:
        order = json.load(file)
    if os.fork():
        os._exit(0)  # whoever started us has one child to wait for, and it is gone at once
    os.setsid()
    os.set_inheritable(3, False)
    try:
        pid = spawn(run, order)
    except (OSError, ValueError) as error:
        say(run, "failed", {"errno": getattr(error, "errno", None), "message": str(error)})
        return
    say(run, "born", {"pid": pid, "start": start_time(pid), "boot_id": boot_id()})
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ending = {"code": status, "signal": None} if status >= 0 else {"code": None, "signal": -status}
    say(run, "exit", {**ending, "at": time.time()})


def spawn(run: str, order: dict) -> int:
    argv, env = order["argv"], order["env"]
    os.chdir(order["cwd"])  # the run directory's path is absolute
    program = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if program is None:
        raise FileNotFoundError(2, f"no program {argv[0]!r} on PATH")
    null = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0)]
    for number, stream in ((1, "stdout"), (2, "stderr")):
        fd = os.open(os.path.join(run, stream), os.O_WRONLY | os.O_APPEND)
        actions.append((os.POSIX_SPAWN_DUP2, fd, number))
    # Python ignores these two; a program expects them as they are everywhere else
    return os.posix_spawn(
        program, argv, env, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
    )


def start_time(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def say(run: str, what: str, value: dict) -> None:
    """Write a file whole or not at all. Where the run directory was forgotten, nobody wants to know."""
    path = os.path.join(run, what)
    try:
        with open(path + ".new", "w", encoding="ascii") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)
    except FileNotFoundError:
        pass


if __name__ == "__main__":
    main(sys.argv[1])
