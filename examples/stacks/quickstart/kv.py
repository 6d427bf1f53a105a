"""How the other programs talk to ``db.py``: one line there, one line back."""

import os
import socket


def ask(*words: str) -> str:
    """Send one command to the database named by DB_HOST and DB_PORT; the answer without its line end."""
    address = os.environ["DB_HOST"], int(os.environ["DB_PORT"])
    with socket.create_connection(address, timeout=2) as connection:
        connection.sendall((" ".join(words) + "\n").encode())
        with connection.makefile(encoding="utf-8") as answers:
            answer = answers.readline().rstrip("\n")
    if answer.startswith("ERROR"):
        raise RuntimeError(f"{words[0]}: {answer}")
    return answer
