"""Bring the database to the newest schema, and leave its revision for whoever asks for ${migrate.revision}."""

import os
from pathlib import Path

from kv import ask

STEPS = ["create the counter", "create the greeting"]


def main() -> None:
    for revision, step in enumerate(STEPS, start=1):
        print(f"revision {revision}: {step}", flush=True)
        ask("SET", "schema", str(revision))
    # a task's outputs are KEY=value lines in the file that harness names here
    if output := os.environ.get("HARNESS_OUTPUT"):
        Path(output).write_text(f"revision={len(STEPS)}\n")


if __name__ == "__main__":
    main()
