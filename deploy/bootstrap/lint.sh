#!/bin/sh
# Every check that runs nothing: format, clippy, rustdoc, dependencies, the dashboard's types.
set -eu
cd "$(dirname "$0")/../.."
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --document-private-items
if command -v cargo-deny >/dev/null 2>&1; then
    cargo deny check bans licenses sources
else
    echo 'cargo-deny is not installed: "cargo install cargo-deny" for the checks of deny.toml' >&2
fi
deploy/bootstrap/dashboard.sh check
