# The folders below testdata hold Go too, which ./... does not see.
TESTDATA := $(shell find testdata -name '*.go' -printf './%h\n' | sort -u)
PACKAGES := ./... $(TESTDATA)
E2E      := $(shell grep -rl --include='*_test.go' '^//go:build e2e' . | xargs -r -n1 dirname | sort -u)
BIN      := $(or $(CROSSCHECK_SERVERS),$(HOME)/.cache/crosscheck)/bin
FUZZTIME ?= 10s

.PHONY: bench build check demo e2e estate fuzz servers tools
.DEFAULT_GOAL := build

build:
	go build -o crosscheck ./cmd/crosscheck

# Formatting, vet, lint, and every test that needs no server. The Rego tests and
# their coverage are a Go test of ./policies.
check: tools
	@unformatted=$$($(BIN)/gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofumpt: $$unformatted" >&2; exit 1; fi
	go vet -tags e2e $(PACKAGES)
	$(BIN)/golangci-lint run $(PACKAGES)
	go test -race -timeout 40m $(PACKAGES)

# The same estate on real servers, and the tests that need them.
e2e: tools servers
	go run ./testdata/estate/make run env CROSSCHECK_OPA=$(BIN)/opa CROSSCHECK_PROMTOOL=$(BIN)/promtool go test -count=1 -timeout 30m -tags e2e $(E2E)

# The whole loop, step by step: violated, told, approved, repaired, proved, closed, searchable.
demo: servers
	go run ./testdata/estate/make run go test -count=1 -tags e2e -run 'TestLoop$$' -v ./cmd/crosscheck

# Records testdata/estate anew, and the plan of its gate.
estate: servers
	go run ./testdata/estate/make record
	go run ./testdata/estate/make plan

# Each fuzz test for a moment. FUZZTIME=10m looks harder.
fuzz:
	@set -e; grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r dir; do \
		for name in $$(grep -hoE '^func Fuzz\w*' $$dir/*_test.go | cut -c6- | sort); do \
			echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir"; \
		done; \
	done

# What is promised of speed, memory and storage (docs/benchmarks.md): a line for each number, and exit 1 if one
# is missed. About half an hour on an idle machine. BENCH='-only decide' measures some, BENCH=-list names them.
bench:
	@testdata/bench/tools/install >/dev/null
	go run ./testdata/bench $(BENCH)

tools:
	@.ci/tools/install

servers:
	@testdata/servers/moto/install.sh
	@testdata/servers/kubernetes/install.sh
	@testdata/servers/promtool/install.sh
	@testdata/servers/kafka/install.sh
	@testdata/servers/elasticsearch/install.sh
