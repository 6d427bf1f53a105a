#!/bin/sh
# Start PostgreSQL on a port of 127.0.0.1; make its files first when there are none.
#
# PostgreSQL refuses to run as root. Started by root, it runs as the user `postgres` of Debian's package; started by
# anybody else, as that user. (`user: postgres` in the stack would be shorter, but would need root every time.)
set -eu
port=$1
state=$PWD/.harness
umask 077
mkdir -p "$state"

# 1. a password of its own, made once, in the form that psql reads
if [ ! -s "$state/postgres.pass" ]; then
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '*:*:*:app:%s\n' "$password" >"$state/postgres.pass.new"
    mv "$state/postgres.pass.new" "$state/postgres.pass"
fi

# 2. who runs it, and a folder that this user can reach
drop=
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || { echo "there is no user postgres: apt-get install postgresql" >&2; exit 1; }
    drop='setpriv --reuid=postgres --regid=postgres --init-groups --'
    chmod 711 "$state" # may be passed through, not listed
fi
if [ ! -e "$state/postgres" ]; then
    mkdir "$state/postgres"
    [ -z "$drop" ] || chown postgres: "$state/postgres"
    if ! $drop test -w "$state/postgres"; then # a checkout below /root, say
        rmdir "$state/postgres"
        elsewhere=$(mktemp -d /var/tmp/harness-postgres.XXXXXX)
        chown postgres: "$elsewhere"
        ln -s "$elsewhere" "$state/postgres"
        echo "the user postgres cannot enter $state; the database is kept in $elsewhere"
    fi
fi
run=$PWD/with-postgres.sh
cd "$state/postgres"

# 3. its files, whole or not at all
if [ ! -d data ]; then
    echo "making a new database in $(pwd -P)"
    rm -rf data.new
    sed 's/.*://' "$state/postgres.pass" | $drop tee password >/dev/null
    "$run" $drop initdb --pgdata=data.new --username=app --pwfile=password --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    rm password
    mv data.new data
fi

# 4. the server itself, in our place: no shell stays between it and the signals
exec "$run" $drop postgres -D "$(pwd -P)/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
