"""Count in the database once a second. Ends cleanly when asked to, after the second it is in."""

import argparse
import signal
import threading
from pathlib import Path

from kv import ask


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heartbeat", type=Path, required=True)
    heartbeat: Path = parser.parse_args().heartbeat
    heartbeat.parent.mkdir(parents=True, exist_ok=True)
    heartbeat.unlink(missing_ok=True)  # the one of an earlier life proves nothing

    asked_to_stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.set())

    while not asked_to_stop.wait(timeout=1):
        try:
            print(f"counted to {ask('INCR', 'count')}", flush=True)
            heartbeat.touch()
        except OSError as error:  # the database restarts: go on, and let the old heartbeat tell
            print(f"cannot count: {error}", flush=True)
    heartbeat.unlink(missing_ok=True)
    print("asked to stop; done", flush=True)


if __name__ == "__main__":
    main()
