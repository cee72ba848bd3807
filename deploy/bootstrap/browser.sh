#!/bin/sh
# Finds the browser that the test of the dashboard drives, or installs Debian's as root.
set -eu
found() {
    [ -n "${CHROMIUM:-}" ] && [ -x "$CHROMIUM" ] && return 0
    for name in chromium chromium-browser google-chrome; do
        command -v $name >/dev/null 2>&1 && return 0
    done
    return 1
}
found && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo 'installing chromium' >&2
    apt-get update >/dev/null && apt-get install -y --no-install-recommends chromium >/dev/null && found && exit 0
fi
echo 'The test of the dashboard needs Chromium: apt-get install chromium, or CHROMIUM=/path/to/it' >&2
exit 1
