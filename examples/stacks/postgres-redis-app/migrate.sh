#!/bin/sh
# Apply the SQL files that the database has not seen, in order, each in a transaction of its own.
# Leaves `revision`, the number of the newest, for ${migrate.revision}.
set -eu
export PGOPTIONS=--client-min-messages=warning # "already exists" is no news
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

sql --command='CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())'

for file in migrations/*.sql; do
    name=$(basename "$file" .sql)
    seen=$(echo "SELECT 1 FROM schema_migrations WHERE name = :'name'" | sql --set=name="$name")
    if [ "$seen" = 1 ]; then
        echo "$name: applied before"
    else
        {
            cat "$file"
            echo "INSERT INTO schema_migrations (name) VALUES (:'name');"
        } | sql --single-transaction --set=name="$name"
        echo "$name: applied"
    fi
done

echo "revision=$(sql --command='SELECT max(name) FROM schema_migrations')" >"${HARNESS_OUTPUT:-/dev/stdout}"
