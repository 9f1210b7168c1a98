# make            builds bin/passt and the link bin/pasta to it
# make run        builds, and starts a shell in a namespace connected to the network
# make test       builds, and runs all tests
# make quick      the tests that need no namespaces and no privileges
# make lint       gofmt, go vet, staticcheck or golangci-lint
# make fuzz       each fuzz target for FUZZTIME
# make bench      the benchmarks of each layer, and, as root, of the whole beside what is installed
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
test: build tools guest-kernel
	$(GO) test ./...
	E2E=1 $(GO) test -count=1 -timeout $(E2ETIME) ./tests/e2e
	E2E=1 $(GO) test -count=1 -timeout $(E2ETIME) ./tests/guest

.PHONY: quick
quick:
	$(GO) test ./...

# What the end-to-end tests call, and the Debian packages that it comes in.
TOOLS := ip:iproute2 ping:iputils-ping tshark:tshark dhclient:isc-dhcp-client udhcpc:udhcpc dhcpcd:dhcpcd-base \
	qemu-system-x86_64:qemu-system-x86 busybox:busybox-static iperf3:iperf3

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

# Unpacks the kernel that the guests of tests/guest boot, if it can be had.
.PHONY: guest-kernel
guest-kernel:
	@for k in out/guest/boot/vmlinuz-*; do [ ! -e "$$k" ] || exit 0; done; \
	newest() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p'; }; \
	if command -v apt-get >/dev/null && [ "$$(dpkg --print-architecture)" = amd64 ]; then \
		package=$$(newest); \
		[ -n "$$package" ] || [ "$$(id -u)" != 0 ] || { apt-get update -qq; package=$$(newest); }; \
		if [ -n "$$package" ]; then \
			echo "unpacking $$package"; \
			rm -rf out/guest.part && mkdir -p out/guest.part && cd out/guest.part && \
			apt-get download -qq -o APT::Sandbox::User=root $$package && dpkg-deb -x *.deb . && rm -f *.deb && \
			cd .. && rm -rf guest && mv guest.part guest && exit 0; \
		fi; \
	fi; \
	echo "no kernel for guests, their tests are skipped: unpack a linux-image-cloud-amd64 package into out/guest"

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

# Both may be set: go run ./tests/bench -h shows what there is.
BENCHFLAGS ?= --rounds 3 --secs 0.5
BENCHTOOLS ?=

.PHONY: bench
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./...
	@if [ "$$(id -u)" = 0 ]; then echo $(GO) run ./tests/bench $(BENCHFLAGS) $(BENCHTOOLS); $(GO) run ./tests/bench $(BENCHFLAGS) $(BENCHTOOLS); \
	else echo "the whole is measured only as root, who may make the namespaces"; fi

.PHONY: clean
clean:
	rm -rf bin out

-include contrib/install.mk
.DEFAULT_GOAL := build
