# make            builds bin/passt and the link bin/pasta to it
# make run        builds, and starts a shell in a namespace connected to the network
# make test       builds, and runs all tests
# make quick      the tests that need no namespaces and no privileges
# make lint       gofmt, go vet, staticcheck or golangci-lint
# make fuzz       each fuzz target for FUZZTIME
# make bench      the benchmarks of each layer
# make clean      removes what was built

export CGO_ENABLED := 0

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
FUZZTIME    ?= 10s
E2ETIME     ?= 20m
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build
build:
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/passt ./cmd/passt
	ln -sf passt bin/pasta

.PHONY: run
run: build
	$(GO) build -o bin/demo ./tests/demo
	bin/demo bin/pasta

.PHONY: test
test: build tools
	$(GO) test ./...
	E2E=1 $(GO) test -count=1 -timeout $(E2ETIME) ./tests/e2e

.PHONY: quick
quick:
	$(GO) test ./...

# What the end-to-end tests call, and the Debian packages that it comes in.
TOOLS := ip:iproute2 ping:iputils-ping tshark:tshark dhclient:isc-dhcp-client udhcpc:udhcpc dhcpcd:dhcpcd-base

# Installs what is missing, if it may; otherwise says what the tests will leave out.
.PHONY: tools
tools:
	@missing=; packages=; \
	for t in $(TOOLS); do \
		PATH=$$PATH:/usr/sbin:/sbin command -v $${t%%:*} >/dev/null || { missing="$$missing $${t%%:*}"; packages="$$packages $${t##*:}"; }; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$packages"; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$packages >/dev/null && exit 0; \
		echo "that failed"; \
	fi; \
	echo "not installed, the tests that need them are skipped:$$missing"; \
	echo "to run them all: apt-get install$$packages"

.PHONY: lint
lint:
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	[ -z "$$unformatted" ] || { echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	@if command -v golangci-lint >/dev/null; then echo golangci-lint run && golangci-lint run; \
	else echo "$(STATICCHECK) ./..." && $(STATICCHECK) ./...; fi

.PHONY: fuzz
fuzz:
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit; \
		done; \
	done

.PHONY: bench
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean:
	rm -rf bin out

-include contrib/install.mk
.DEFAULT_GOAL := build
