#!/bin/sh
# Every test on this machine: real servers, the real binaries, a real browser. TGMESH_SOAK=1 gives
# the long forms. Prints how long each step took, and how many tests passed and failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
bootstrap=deploy/bootstrap
log=.tools/test
passed=0
failed=0
times=

step() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    start=$(date +%s)
    # A pipe would hide the exit code; POSIX sh has no pipefail.
    { "$@" 2>&1; echo $? >$log/status; } | tee "$log/output"
    status=$(cat $log/status)
    took=$(($(date +%s) - start))
    times="$times
  $(printf '%-28s %4d s   %s' "$name" $took "$([ "$status" -eq 0 ] && echo ok || echo FAILED)")"
    return "$status"
}

finish() {
    printf '\n== times%s\n\n%d passed, %d failed\n' "$times" $passed $failed
    [ $failed -eq 0 ]
    exit
}

# required NAME COMMAND…: without it the rest has no sense.
required() {
    step "$@" || { failed=$((failed + 1)); finish; }
}

# counted PATTERN_PASSED PATTERN_FAILED NAME COMMAND…: a step that prints how many tests it ran.
counted() {
    good=$1
    bad=$2
    shift 2
    step "$@"
    status=$?
    plain=$(sed 's/\x1b\[[0-9;]*m//g' $log/output)
    now_failed=$(printf '%s\n' "$plain" | sed -n "$bad" | awk '{n += $1} END {print n + 0}')
    passed=$((passed + $(printf '%s\n' "$plain" | sed -n "$good" | awk '{n += $1} END {print n + 0}')))
    # A step that failed without naming a test is one failure.
    if [ $status -ne 0 ] && [ "$now_failed" -eq 0 ]; then now_failed=1; fi
    failed=$((failed + now_failed))
}

# The properties are drawn from one seed in the short form, so that a run says the same twice, and
# from a new one at full length; either is printed and can be given.
if [ -z "${PROPTEST_RNG_SEED:-}" ]; then
    PROPTEST_RNG_SEED=4
    if [ -n "${TGMESH_SOAK:-}" ]; then PROPTEST_RNG_SEED=$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); fi
fi
export PROPTEST_RNG_SEED
echo "PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED"

# The tests wait for servers, clocks and processes most of their time: three at once for each core
# take half as long as one, and still leave each its share.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 3))}"

mkdir -p $log
required 'tools' $bootstrap/tools.sh
required 'browser' $bootstrap/browser.sh
required 'Prometheus' $bootstrap/prometheus.sh
required 'build of the dashboard' make dashboard/dist/index.html
# The binaries with the tests, in one: `make build` before it would compile much a second time,
# because the tests' dependencies ask for more features of what both use.
required 'build' cargo test --release --workspace --locked --no-run
counted 's/^test result: .* \([0-9]*\) passed.*/\1/p' 's/^test result: .* \([0-9]*\) failed.*/\1/p' \
    'Rust' cargo test --release --workspace --locked --no-fail-fast
counted 's/^ *Tests .* \([0-9]*\) passed.*/\1/p' 's/^ *Tests .* \([0-9]*\) failed.*/\1/p' \
    'dashboard' $bootstrap/dashboard.sh test
counted 's/^k8s-check: \([0-9]*\) passed.*/\1/p' 's/^k8s-check: .* \([0-9]*\) failed.*/\1/p' \
    'manifests' .tools/venv/bin/python -B k8s/check
# Ten thousand descriptors and an hour: what clients that come and go leave behind.
if [ -n "${TGMESH_SOAK:-}" ]; then
    export TGMESH_SOAK_S="${TGMESH_SOAK_S:-3600}"
    counted 's/^ *\([0-9]*\) figures hold.*/\1/p' 's/^ *\([0-9]*\) figures missed.*/\1/p' \
        'crowd' python3 deploy/bench/gateway.py --only restart --only churn
fi
finish
