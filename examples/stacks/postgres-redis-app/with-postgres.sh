#!/bin/sh
# Run a program of the newest PostgreSQL on this machine. Debian keeps the server's programs out of PATH.
set -eu
for folder in /usr/lib/postgresql/*/bin; do
    [ -d "$folder" ] && PATH=$folder:$PATH # the last one listed is the newest, and comes first
done
exec "$@"
