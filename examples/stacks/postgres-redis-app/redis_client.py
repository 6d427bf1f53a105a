"""As much of a Redis client as a counter needs: one command, one answer, over the protocol called RESP."""

import os
import socket
from typing import BinaryIO


class RedisError(Exception):
    """Redis answered with an error, or with nothing."""


def redis(*words: str) -> str | int | None:
    """Send one command to the server named by REDIS_HOST and REDIS_PORT. Raises ``RedisError`` or ``OSError``."""
    parts = [word.encode() for word in words]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    address = os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"])
    with socket.create_connection(address, timeout=2) as connection, connection.makefile("rb") as answers:
        connection.sendall(request)
        return _answer(answers)


def _answer(answers: BinaryIO) -> str | int | None:
    line = answers.readline().decode().rstrip("\r\n")
    kind, rest = line[:1], line[1:]
    match kind:
        case "+":
            return rest
        case ":":
            return int(rest)
        case "$" if rest == "-1":
            return None
        case "$":
            return answers.read(int(rest) + 2)[:-2].decode()
    raise RedisError(rest or "no answer")
