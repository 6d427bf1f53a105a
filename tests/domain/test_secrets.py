"""What is masked before it is shown, and what is not: by names that people really use."""

from __future__ import annotations

import pytest

from harness_core.domain.secrets import MASK, blot, is_secret, mask, mask_env, mask_text, secrets_in

SECRET = """
    PASSWORD DB_PASSWORD PGPASSWORD MYSQL_ROOT_PASSWORD POSTGRES_PASSWORD MYSQL_PWD SMTP_PASS DB_PASS GPG_PASSPHRASE
    SECRET SECRET_KEY SECRET_KEY_BASE DJANGO_SECRET_KEY JWT_SECRET SESSION_SECRET AZURE_CLIENT_SECRET clientSecret
    AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN GITHUB_TOKEN NPM_TOKEN HF_TOKEN TWILIO_AUTH_TOKEN VAULT_TOKEN bot-token
    OPENAI_API_KEY ANTHROPIC_API_KEY STRIPE_API_KEY APIKEY apiKey X-Api-Key RAILS_MASTER_KEY ENCRYPTION_KEY FERNET_KEY
    SSH_PRIVATE_KEY SENTRY_DSN BASIC_AUTH Authorization COOKIE GOOGLE_APPLICATION_CREDENTIALS SLACK_WEBHOOK_URL
    AZURE_STORAGE_CONNECTION_STRING DOCKER_AUTH_CONFIG VAULT_SECRET_ID GITLAB_PAT
"""

PLAIN = """
    PATH HOME PWD OLDPWD USER LANG TERM SHELL HOST PORT HOSTNAME DATABASE_NAME DATABASE_URL LOG_LEVEL DEBUG TZ
    TOKENIZERS_PARALLELISM MAX_TOKENS TOKEN_LIMIT PASSENGER_APP_ENV BYPASS_CACHE COMPASS_DIR SSH_AUTH_SOCK AUTHOR
    POSTGRES_PASSWORD_FILE PASSWORD_MIN_LENGTH TOKEN_TTL SECRET_NAME SSH_PUBLIC_KEY STRIPE_PUBLISHABLE_KEY PRIMARY_KEY
    SORT_KEY AWS_ACCESS_KEY_ID KEYBOARD MONKEY CUDA_VISIBLE_DEVICES PYTHONPATH HTTP_PROXY NODE_ENV COOKIE_TTL 12 _
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_what_goes_by_a_secret_name_is_taken_for_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", PLAIN.split())
def test_what_only_sounds_like_a_secret_is_shown(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("postgres://app:***@db:5432/shop", "postgres://app:hunter2@db:5432/shop"),
        ("redis://:***@cache", "redis://:hunter2@cache"),
        ("amqp://u:***@mq/vhost@1", "amqp://u:p@ss@mq/vhost@1"),
        ("https://api/x?token=***&page=2", "https://api/x?token=abc&page=2"),
        ("Server=db;Password=***;Port=1", "Server=db;Password=hunter2;Port=1"),
        ("--api-key=***", "--api-key=abc"),
        ("http://127.0.0.1:8000/a:b@c", "http://127.0.0.1:8000/a:b@c"),
        ("key of the door", "key of the door"),
        ("", ""),
    ],
)
def test_secrets_inside_a_value_are_masked_and_the_rest_stays_readable(shown: str, value: str) -> None:
    assert mask_env({"DATABASE_URL": value}) == {"DATABASE_URL": shown}


def test_an_empty_secret_is_shown_empty_because_that_is_often_the_fault() -> None:
    assert mask_env({"DB_PASSWORD": "", "API_KEY": "x"}) == {"DB_PASSWORD": "", "API_KEY": MASK}


def test_a_definition_is_masked_wherever_a_secret_stands() -> None:
    definition = {
        "env": {"API_TOKEN": "abc", "MODE": "fast"},
        "args": ["--password", "hunter2", "--verbose", "--token=abc", "--port", 80],
        "secret": ["one", ("two",), "-x", "three"],
        "limits": {"memory": 5, "swap": None},
    }
    assert mask(definition) == {
        "env": {"API_TOKEN": MASK, "MODE": "fast"},
        "args": ["--password", MASK, "--verbose", f"--token={MASK}", "--port", 80],
        "secret": [MASK, [MASK], MASK, MASK],
        "limits": {"memory": 5, "swap": None},
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("GET http://h/x?token=abc&a=1 answered 401", "GET http://h/x?token=***&a=1 answered 401"),
        ("command `login --password=abc` failed", "command `login --password=***` failed"),
        ("sh -c 'PASSWORD=\"a b\" run'", "sh -c 'PASSWORD=*** run'"),
        ("cannot reach amqp://u:p@h:1", "cannot reach amqp://u:***@h:1"),
        ("used hns_abcdefgh_" + "x" * 43, "used hns_abcdefgh_***"),
        ("the word s3cr3t-value stands alone", "the word *** stands alone"),
    ],
)
def test_sentences_are_told_without_secrets(said: str, shown: str) -> None:
    assert mask_text(said, ["s3cr3t-value"]) == shown


def test_known_values_are_masked_wherever_they_stand() -> None:
    definition = {"args": ["-p", "s3cr3t-value"], "env": {"PLAIN": "x-s3cr3t-value-y"}, "n": 1}
    assert mask(definition, secrets=["s3cr3t-value"]) == {"args": ["-p", MASK], "env": {"PLAIN": f"x-{MASK}-y"}, "n": 1}
    assert mask_env({"PLAIN": "s3cr3t-value"}, ["s3cr3t-value"]) == {"PLAIN": MASK}


def test_the_secrets_of_a_definition_are_those_that_can_be_told_from_words() -> None:
    definition = {
        "env": {
            "DB_PASSWORD": "correct-horse-1",
            "API_KEY": "short",
            "PIN_TOKEN": 7,
            "TOKEN": "postgres",
            "PWD_TOKEN": "${other.TOKEN}",
        },
        "args": ["--secret", "Battery-Staple", "postgres://u:url-passw0rd@h/", "--token='quoted value 1'"],
    }
    assert list(secrets_in(definition)) == ["correct-horse-1", "Battery-Staple", "url-passw0rd", "quoted value 1"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  PASSWORD: hunter2", "  PASSWORD: *******"),
        ("  - {name: x, env: {API_KEY: [a1, b2], MODE: fast}}", "  - {name: x, env: {API_KEY: [**, **], MODE: fast}}"),
        ('"token": "ab cd", port: 80', '"token": "** **", port: 80'),
        ("  PASSWORD: ${DB_PASSWORD}", "  PASSWORD: ${DB_PASSWORD}"),
        ("  PASSWORD: ${X:-hunter2}", "  PASSWORD: *{**********}"),
        ("  binary: python", "  binary: python"),
        ("  PASSWORD:", "  PASSWORD:"),
    ],
)
def test_a_line_of_a_file_keeps_its_places_and_loses_its_secrets(line: str, shown: str) -> None:
    assert blot(line) == shown
    assert len(shown) == len(line)
