#!/bin/sh
# Starts as the official images of PostgreSQL and TimescaleDB do, as far as the chart market-stack counts on it.
set -eu
export PGHOST=/tmp
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\nunix_socket_directories = '/tmp'\n" >>"$PGDATA/postgresql.conf"
    pg_ctl start --wait --options="-c listen_addresses=''"
    psql --username="$POSTGRES_USER" --dbname=postgres --set=password="$POSTGRES_PASSWORD" --set=name="$POSTGRES_DB" <<'END'
ALTER ROLE CURRENT_USER PASSWORD :'password';
CREATE DATABASE :"name";
END
    for script in /docker-entrypoint-initdb.d/*.sh; do
        . "$script"
    done
    pg_ctl stop --wait --mode=fast
fi
exec "$@"
