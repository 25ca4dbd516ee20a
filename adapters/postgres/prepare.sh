#!/bin/sh
# Makes `.sqlx` anew: what the database says of each statement in this crate. Needs the superuser's URL of a
# throw-away PostgreSQL in CODEX_K8S_TEST_DATABASE_URL, in which it uses a database of its own.
set -eu
: "${CODEX_K8S_TEST_DATABASE_URL:?set it to postgres://postgres@host:port/postgres}"
here=$(cd "$(dirname "$0")" && pwd)
name=codex_k8s_prepare_$$
url=${CODEX_K8S_TEST_DATABASE_URL%/*}/$name
admin() { psql -Xq -v ON_ERROR_STOP=1 "$CODEX_K8S_TEST_DATABASE_URL" "$@"; }
admin -c "drop database if exists $name with (force)" -c "create database $name"
psql -Xq -v ON_ERROR_STOP=1 "$url" -o /dev/null -c "create schema queue" -c "create schema platform"
for file in "$here"/../../migrations/queue/*.sql "$here"/../../migrations/platform/*.sql; do
    psql -Xq -v ON_ERROR_STOP=1 "$url" -o /dev/null -f "$file"
done
# The migrator's own record, which the readiness check reads.
psql -Xq "$url" -c "create table platform._migrations (version bigint primary key, success boolean not null)"
rm -rf "$here/.sqlx"
mkdir "$here/.sqlx"
touch "$here/src/lib.rs"
SQLX_OFFLINE=false DATABASE_URL=$url SQLX_OFFLINE_DIR=$here/.sqlx cargo check -p codex-k8s-postgres
admin -c "drop database $name with (force)"
