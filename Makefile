# tgmesh. `make help` lists what there is.
#
# Everything that a machine lacks goes to .tools/, and every step leaves a stamp: a second run
# neither installs nor asks the network for anything.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BOOTSTRAP := deploy/bootstrap
CARGO := cargo
# Given to `tgmesh up` by `make run`, and to deploy/bench/bench.py by `make bench`.
ARGS ?=

DASHBOARD_SOURCES := $(shell find dashboard/src dashboard/public dashboard/index.html dashboard/package.json \
	dashboard/package-lock.json dashboard/vite.config.ts dashboard/svelte.config.js dashboard/tsconfig.json \
	-type f 2>/dev/null)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: tools build ## build, start everything on this machine, and print the dashboard's address
	@exec $(BOOTSTRAP)/with-env.sh target/release/tgmesh up $(ARGS)

test: ## every test, with real servers and a real browser, in short forms
	@$(BOOTSTRAP)/test.sh

soak: ## the same tests at full length
	@TGMESH_SOAK=1 $(BOOTSTRAP)/test.sh

bench: tools build ## load test and benchmarks; rewrites its block in deploy/bench/RESULTS.md
	@python3 deploy/bench/bench.py $(ARGS)
	@$(if $(ARGS),,python3 deploy/bench/detect.py)
	@$(if $(ARGS),,python3 deploy/bench/gateway.py --json deploy/bench/gateway.json)
	@$(if $(ARGS),,python3 deploy/bench/history.py --json deploy/bench/history.json --explain services/kit/store/QUERIES.md)
	@$(if $(ARGS),,python3 deploy/bench/accounts.py --json deploy/bench/accounts.json)

build: dashboard/dist/index.html ## the dashboard, then every binary with it inside
	$(CARGO) build --release --workspace --locked

lint: tools dashboard/node_modules/.tgmesh-stamp ## format, clippy, rustdoc, dependencies, types
	@$(BOOTSTRAP)/lint.sh

generate: dashboard/node_modules/.tgmesh-stamp ## schemas, golden vectors and the dashboard's types, from the Rust types
	TGMESH_REGENERATE=1 $(CARGO) test --release --locked -p tgmesh-proto --test it generated
	TGMESH_REGENERATE=1 $(CARGO) test --release --locked -p tgmesh-gateway --lib openapi
	cd dashboard && npm run --silent generate

fmt: ## format the Rust sources
	$(CARGO) fmt --all

tools: ## install into .tools/ what this machine lacks
	@$(BOOTSTRAP)/tools.sh

clean: ## remove what was built and installed; .tgmesh/, which holds data, stays
	$(CARGO) clean
	rm -rf .tools dashboard/dist dashboard/node_modules

dashboard/node_modules/.tgmesh-stamp: dashboard/package-lock.json
	@$(BOOTSTRAP)/tools.sh
	@$(BOOTSTRAP)/dashboard.sh install

dashboard/dist/index.html: dashboard/node_modules/.tgmesh-stamp $(DASHBOARD_SOURCES)
	@$(BOOTSTRAP)/dashboard.sh build

.PHONY: help run test soak bench build lint generate fmt tools clean
