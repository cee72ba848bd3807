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
# Of `make k8s-render`, and of `make image` and `make kind`.
OVERLAY ?= dev
ENGINE ?= docker
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

DASHBOARD_SOURCES := $(shell find dashboard/src dashboard/public dashboard/index.html dashboard/package.json \
	dashboard/package-lock.json dashboard/vite.config.ts dashboard/svelte.config.js dashboard/tsconfig.json \
	-type f 2>/dev/null)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

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

# Written into an ignored folder: `kubectl apply -k k8s/secrets`. What is there already stays.
k8s-secrets: ## keys, certificates, passwords and tokens for a cluster, in k8s/secrets/
	@python3 deploy/make_secrets.py k8s/secrets
	@echo 'k8s/secrets: kubectl apply -k k8s/secrets, after kubectl apply -k k8s/overlays/dev'

# OVERLAY=prod for another one. With the secrets, where they were made: the file is as secret as they are.
k8s-render: ## one file for plain `kubectl apply -f`, in k8s/rendered/
	@mkdir -p k8s/rendered && umask 077 && \
	{ kubectl kustomize k8s/overlays/$(OVERLAY) && if [ -d k8s/secrets ]; then echo --- && kubectl kustomize k8s/secrets; fi; } \
		>k8s/rendered/$(OVERLAY).yaml && echo k8s/rendered/$(OVERLAY).yaml

k8s-check: tools build ## the manifests against schemas, policies, the picture and the code
	@.tools/venv/bin/python -B k8s/check

# Which bytes the tags of others' images stand for, as a component for your overlay and for `make image`.
k8s-pin: ## digests of all images, in k8s/pinned/ (needs crane, skopeo, regctl or docker)
	@python3 deploy/pin_images.py k8s/pinned

image: ## the container image, with docker or another ENGINE that builds
	$(ENGINE) build --file deploy/Dockerfile --tag tgmesh:$(VERSION) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$$(test ! -f k8s/pinned/build-args || sed 's/^/--build-arg /' k8s/pinned/build-args) .

kind: image k8s-secrets ## the mesh in a cluster on this machine (needs kind and kubectl)
	@kind get clusters 2>/dev/null | grep -qx tgmesh || kind create cluster --name tgmesh
	kind load docker-image --name tgmesh tgmesh:$(VERSION)
	kubectl --context kind-tgmesh apply -k k8s/overlays/dev
	kubectl --context kind-tgmesh apply -k k8s/secrets
	@echo 'kubectl --context kind-tgmesh --namespace tgmesh port-forward service/gateway 8080:80'

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


.PHONY: k8s-secrets k8s-render k8s-check k8s-pin image kind
.PHONY: help run test soak bench build lint generate fmt tools clean
