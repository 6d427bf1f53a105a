"""``harness token``: access for other people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import Argument, Option, Verb
from harness.cli.render.admin import pairs, token_lines
from harness.cli.session import Cli
from harness.cli.times import parse_span

if TYPE_CHECKING:
    from harness_core.domain.protocol import TokenSecret, TokensResult

__all__ = ["HELP", "VERBS"]

HELP = "A token has a role, and each role includes those before it: viewer (state), logs (what units wrote), operator "
HELP += "(start and stop what is registered), admin (define what is run)."


def create(cli: Cli, *, name: str, role: str, expires_in: str) -> int:
    params = {"name": name, "role": role, "expires_in": parse_span(expires_in, "--expires-in")}
    secret = cast("TokenSecret", cli.call("token.create", params))
    cli.data(
        secret,
        lambda: pairs(
            {"id": secret["id"], "token": secret["token"], "connection": secret["connection"]}, cli.out.style
        ),
        names=lambda: [secret["id"]],
    )
    cli.note("this is shown once. on the other machine: harness context add NAME CONNECTION")
    return 0


def show(cli: Cli) -> int:
    result = cast("TokensResult", cli.call("token.list", {}))
    cli.data(
        result,
        lambda: token_lines(result["tokens"], cli.out.style),
        rows="tokens",
        names=lambda: [row["id"] for row in result["tokens"]],
    )
    return 0


def revoke(cli: Cli, *, token: str) -> int:
    there = any(row["id"] == token for row in cli.call("token.list", {})["tokens"])
    if there and not cli.confirm(f"revoke the token {token}?", refuse=f"cannot revoke {token} without being sure"):
        cli.note("nothing was revoked")
        return 1
    done = cli.call("token.revoke", {"id": token})
    cli.data(done, lambda: [done["message"] or f"{token} is revoked"])
    return 0 if done["ok"] else 1


VERBS = (
    Verb(
        "create",
        create,
        "Prints the token and a connection string that carries the daemon's pin as well.",
        arguments=(Argument("name", "Who or what it is for.", required=True),),
        options=(
            Option(
                ("--role",),
                "What it may do.",
                "choice",
                default="viewer",
                choices=("viewer", "logs", "operator", "admin"),
            ),
            Option(("--expires-in",), "How long it is good.", "text", default="90d", metavar="DURATION"),
        ),
        summary="Make a token.",
    ),
    Verb("list", show, "Never shows a secret: the daemon keeps none.", summary="List tokens."),
    Verb(
        "revoke",
        revoke,
        "Connections that use it are closed.",
        arguments=(Argument("token", "The token's id.", required=True),),
        summary="End a token now.",
    ),
)
