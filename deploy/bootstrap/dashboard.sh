#!/bin/sh
# dashboard.sh install | build | test | check: the dashboard's steps, with the Node of this machine
# or the one in .tools/.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
# Behind the machine's own: tools.sh puts a Node there only where that is missing or too old.
if [ -x "$root/.tools/venv/bin/npm" ]; then
    PATH=$root/.tools/venv/bin:$PATH
    export PATH
fi
cd "$root/dashboard"
case $1 in
install)
    # The lockfile names no registry, so that whichever npm is configured for is asked.
    npm ci --no-audit --no-fund --omit-lockfile-registry-resolved
    touch node_modules/.tgmesh-stamp
    ;;
build) npm run --silent build && touch dist/index.html ;;
test) npm run --silent test ;;
check) npm run --silent check ;;
*)
    echo "dashboard.sh install | build | test | check" >&2
    exit 64
    ;;
esac
