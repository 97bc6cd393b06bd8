# The tasks of this project; "make" alone prints them.

SHELL  := /bin/sh
TOOL   := go tool -modfile=test/tools.mod
TAGGED := ./test/interop ./test/mediatest ./test/ship

# step NAME,TARGET makes a target and prints how long it took.
define step
@echo "== $(1)"; start=$$(date +%s); $(MAKE) --no-print-directory $(2); status=$$?; \
	echo "== $(1): $$(( $$(date +%s) - start )) s"; exit $$status
endef

.PHONY: help check format lint unit proof test deps interop conformance golden bench fuzz build package

help: ## print the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: format lint unit proof ## no network, no root: format, vet, staticcheck, exhaustive, go test -race ./..., proof

format:
	@bad=$$($(TOOL) gofumpt -l .); [ -z "$$bad" ] || { echo "not as gofumpt writes it:"; echo "$$bad"; exit 1; }

lint:
	go vet ./...
	go vet -tags interop $(TAGGED)
	$(TOOL) staticcheck ./...
	$(TOOL) staticcheck -tags interop $(TAGGED)
	$(TOOL) exhaustive -e -constignore '[.][a-z]+s$$' ./... # switches marked exhaustive:enforce; counting constants are none

unit:
	go test -race ./...
	@if pkg-config --exists opus 2>/dev/null; then \
		echo "go test -tags libopus ./mediarelay/codec"; go test -tags libopus ./mediarelay/codec; \
	else echo "no libopus: it is not compared with gopus"; fi

proof: ## what the race detector is too slow for: mutants of every table row, a thousand calls, storms
	go test -run '^(TestEveryRow|TestEveryCell)' ./gateway/...
	go test -run '^(TestRandomCalls|TestStorm)$$' ./cmd/sipxmppgw

test: ## what .ci/run calls: install what is needed, check, conformance, interop
	$(call step,deps,deps)
	$(call step,format,format)
	$(call step,lint,lint)
	$(call step,unit,unit)
	$(call step,proof,proof)
	$(call step,conformance,conformance)
	$(call step,interop,interop)

deps: ## install the real peers (Debian packages, npm packages); as root
	@sh test/interop/deps.sh install

interop: ## tests with real peers: Prosody, ejabberd, Kamailio, baresip, SIPp, SIPVicious, Chromium, QXmpp, slixmpp, rtpengine
	@sh test/interop/deps.sh check || { [ -z "$$CI" ] && exit 0; exit 1; }; \
	go test -tags interop -count 1 -parallel 3 -timeout 20m -v $(TAGGED)

conformance: ## one line for each of the 172 statements
	go run ./test/conformance

golden: ## rewrite what golden tests expect, and show what changed
	go test $$(git grep -l 'sipxmppgw/test/golden"' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|') -update
	git diff --stat

bench: ## the relay beside rtpengine and a bare one in C and messages beside Kamailio (needs gcc, libssl-dev, rtpengine-daemon, kamailio-xmpp-modules); then Go's benchmarks
	go run ./test/bench
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## every Fuzz target for 30 s
	@git grep -H -o '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's|/[^/]*:func | |' | while read -r dir name; do \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime 30s "./$$dir" || exit 1; \
	done

package: build ## deb and rpm in .build, for this machine's architecture
	sh deploy/package/build.sh

build: ## static binary ./sipxmppgw
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$$(git describe --tags --always --dirty)" -o sipxmppgw ./cmd/sipxmppgw
