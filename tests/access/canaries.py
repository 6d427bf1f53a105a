"""Fifty secrets, each in a place of its own where a secret can stand, and a stack that uses and fails them all."""

from __future__ import annotations

import hashlib

__all__ = ["BAD_STACK", "CLIENT_ENV", "ENV_FILE", "NAMES", "STACK", "canary", "find"]

#: every place, by a word for it
NAMES = (
    *("settings-literal", "settings-variable", "api-key", "db-password", "github-token", "aws-secret", "cookie", "jwt"),
    *("dsn", "client-secret", "private-key", "webhook", "passphrase", "auth", "pin-pw", "credential", "apikey-run-on"),
    *("env-file", "env-file-quoted", "env-file-export", "url-env", "url-arg", "url-query", "url-no-user", "arg-option"),
    *("arg-equals", "arg-variable", "arg-second", "shell-assignment", "shell-option", "shell-url", "label"),
    *("header-authorization", "header-cookie", "health-query", "health-url", "health-command", "health-variable"),
    *("health-says", "stop-command", "task-output", "task-env", "exec-env", "exec-option", "wrong-type", "bad-line"),
    *("connection", "variable-default", "kv-string", "binary-missing"),
)


def canary(name: str) -> str:
    """The secret of a place: looks like one, is found again."""
    assert name in NAMES, name
    return f"CNRY{NAMES.index(name):02d}{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def find(text: str | bytes) -> set[str]:
    """The places whose secrets stand in a text."""
    data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    return {name for name in NAMES if canary(name).encode() in data}


def _filled(text: str) -> str:
    for name in NAMES:
        text = text.replace(f"<{name}>", canary(name))
    return text


#: what the user who starts it has in the environment
CLIENT_ENV = {
    "SETTINGS_TOKEN": canary("settings-variable"),
    "ARG_PASSWORD": canary("arg-variable"),
    "HEALTH_PASSWORD": canary("health-variable"),
    "WRONG_SECRET": canary("wrong-type"),
}

ENV_FILE = _filled(
    "FILE_PASSWORD=<env-file>\nFILE_SECRET=\"<env-file-quoted>\"\nexport FILE_TOKEN='<env-file-export>'\n"
)

STACK = _filled(
    """
name: birds
settings:
  env: {SETTINGS_PASSWORD: <settings-literal>, SETTINGS_TOKEN: "${SETTINGS_TOKEN}"}
services:
  holder:
    target:
      type: process
      binary: sh
      args:
        [-c, "exec sleep 1000", x, --password, <arg-option>, "--token=<arg-equals>", "${ARG_PASSWORD}",
         "${self.port}", "postgres://u:<url-arg>@localhost/d", "--api-key", "${NOT_SET:-<variable-default>}",
         --client-secret, <arg-second>]
      env:
        API_KEY: <api-key>
        DB_PASSWORD: <db-password>
        GITHUB_TOKEN: <github-token>
        AWS_SECRET_ACCESS_KEY: <aws-secret>
        SESSION_COOKIE: <cookie>
        MY_JWT: <jwt>
        SENTRY_DSN: <dsn>
        clientSecret: <client-secret>
        PRIVATE_KEY: <private-key>
        SLACK_WEBHOOK: <webhook>
        GPG_PASSPHRASE: <passphrase>
        BASIC_AUTH: <auth>
        CARD_PW: <pin-pw>
        GOOGLE_CREDENTIALS: <credential>
        MYAPIKEY: <apikey-run-on>
        DATABASE_URL: "postgres://shop:<url-env>@db.example:5432/shop"
        CACHE_URL: "redis://:<url-no-user>@cache.example/0"
        ENDPOINT: "https://x.example/?a=1&access_token=<url-query>"
        ODBC: "Server=db;Uid=u;Pwd=1;Password=<kv-string>;Timeout=3"
        ALSO: "${ARG_PASSWORD}"
    env_file: birds.env
    ports: {http: auto}
    labels: {password: <label>}
    stop: {command: ["false", --token, <stop-command>], timeout: 1s}
  shell:
    target:
      type: process
      shell: "PASSWORD=<shell-assignment> true --secret=<shell-option> http://u:<shell-url>@h/; exit 3"
    restart: no
  http:
    target: {type: process, shell: exec sleep 1000}
    ports: {web: auto}
    health_check:
      http:
        path: "/x?token=<health-query>"
        headers: {Authorization: "Bearer <header-authorization>", Cookie: "s=<header-cookie>"}
      interval: 200ms
      retries: 1
    start_timeout: 2s
  away:
    target: {type: process, shell: exec sleep 1000}
    health_check: {http: "http://u:<health-url>@127.0.0.1:9/", interval: 200ms, retries: 1}
    start_timeout: 2s
  command:
    target: {type: process, shell: exec sleep 1000, env: {SAID_SECRET: <health-says>}}
    health_check:
      command: 'echo "cannot log in with $SAID_SECRET"; test "${HEALTH_PASSWORD}" = 1 --password=<health-command>'
      interval: 200ms
      retries: 1
    start_timeout: 2s
  missing:
    target: {type: process, binary: "/nowhere/harness-canary", args: ["--password=<binary-missing>"]}
    restart: no
tasks:
  gives:
    target:
      type: process
      shell: 'echo "GIVEN_TOKEN=<task-output>" >$HARNESS_OUTPUT'
      env: {TASK_PASSWORD: <task-env>}
  takes:
    target: {type: process, shell: 'exit 4', env: {PLAIN: "${gives.GIVEN_TOKEN}"}}
    dependencies: [{task: gives}]
"""
)

BAD_STACK = _filled(
    """
name: bad
services:
  a:
    target: {type: process, binary: x, env: {BAD_PASSWORD: [<bad-line>]}}
    limits: {nofile: "${WRONG_SECRET}"}
    stop: {timeout: "${WRONG_SECRET}"}
    wrong_key: 1
"""
)
