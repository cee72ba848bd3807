#!/bin/sh
# Finds prometheus and promtool for the tests of rules, metrics and dashboards, or fetches Debian's
# into .tools/prometheus: nothing of the system is changed, and no root is needed. Prints the folder
# that both are in.
set -eu
cd "$(dirname "$0")/../.."
own=$PWD/.tools/prometheus
for bin in "${PROMETHEUS_BIN:-}" "$own/usr/bin" "$(dirname "$(command -v promtool 2>/dev/null || echo /nowhere/x)")"; do
    if [ -n "$bin" ] && [ -x "$bin/prometheus" ] && [ -x "$bin/promtool" ]; then
        echo "$bin"
        exit 0
    fi
done
fetch() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    mkdir -p "$own.new"
    cd "$own.new"
    echo "fetching Debian's prometheus into .tools/" >&2
    if ! apt-get download prometheus >apt.log 2>&1; then
        # A fresh image has no lists of packages.
        [ "$(id -u)" -eq 0 ] || return 1
        apt-get update >/dev/null 2>&1 && apt-get download prometheus >apt.log 2>&1 || return 1
    fi
    dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb
    cd ../..
    rm -rf "$own" && mv "$own.new" "$own"
}
if (fetch) && [ -x "$own/usr/bin/prometheus" ]; then
    echo "$own/usr/bin"
    exit 0
fi
rm -rf "$own.new"
echo 'The tests of metrics, alerts and dashboards need Prometheus: apt-get install prometheus, or PROMETHEUS_BIN=/folder/of/it' >&2
exit 1
