# Installing and packaging; the Makefile includes this. It needs bin/passt, which the target
# "build" makes.
#
#   make install [DESTDIR=DIR] [PREFIX=/usr/local] [SYSCONFDIR=/etc]
#   make deb [VERSION=1.2.3]                         → out/*.deb

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
SHAREDIR   ?= $(PREFIX)/share
MANDIR     ?= $(SHAREDIR)/man
UNITDIR    ?= $(PREFIX)/lib/systemd/user
ZSHDIR     ?= $(SHAREDIR)/zsh/site-functions

NFPM ?= go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

PROGRAMS := passt pasta qrap
PAGES := $(PROGRAMS) passt-run passt-guest passt-ports passt-flows passt-stats

# Everything that the program writes about itself: manual pages and completions.
.PHONY: documents
documents: build
	rm -rf out/documents && mkdir -p out/documents
	for p in $(PAGES); do bin/passt man $$p > out/documents/$$p.1 || exit; done
	for p in passt pasta; do for s in bash zsh fish; do \
		bin/passt completion $$s $$p > out/documents/$$p.$$s || exit; done; done

.PHONY: install
install: documents
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(ZSHDIR)" \
		"$(DESTDIR)$(SHAREDIR)/bash-completion/completions" "$(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d"
	install -m 755 bin/passt "$(DESTDIR)$(BINDIR)/passt"
	ln -sf passt "$(DESTDIR)$(BINDIR)/pasta"
	ln -sf passt "$(DESTDIR)$(BINDIR)/qrap"
	for p in $(PAGES); do install -m 644 out/documents/$$p.1 "$(DESTDIR)$(MANDIR)/man1/" || exit; done
	for p in passt pasta; do \
		install -m 644 out/documents/$$p.bash "$(DESTDIR)$(SHAREDIR)/bash-completion/completions/$$p" && \
		install -m 644 out/documents/$$p.zsh "$(DESTDIR)$(ZSHDIR)/_$$p" && \
		install -m 644 out/documents/$$p.fish "$(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/$$p.fish" || exit; done
	sed 's,@BINDIR@,$(BINDIR),' contrib/systemd/passt@.service > out/documents/passt@.service
	install -m 644 out/documents/passt@.service "$(DESTDIR)$(UNITDIR)/passt@.service"

# AppArmor is not everybody's, and its profiles name /usr/bin: a target of its own.
.PHONY: install-apparmor
install-apparmor:
	install -d "$(DESTDIR)$(SYSCONFDIR)/apparmor.d/abstractions"
	install -m 644 contrib/apparmor/abstractions/passt contrib/apparmor/abstractions/pasta \
		"$(DESTDIR)$(SYSCONFDIR)/apparmor.d/abstractions/"
	install -m 644 contrib/apparmor/usr.bin.passt "$(DESTDIR)$(SYSCONFDIR)/apparmor.d/"

.PHONY: uninstall
uninstall:
	for p in $(PROGRAMS); do rm -f "$(DESTDIR)$(BINDIR)/$$p"; done
	for p in $(PAGES); do rm -f "$(DESTDIR)$(MANDIR)/man1/$$p.1"; done
	for p in passt pasta; do \
		rm -f "$(DESTDIR)$(SHAREDIR)/bash-completion/completions/$$p" "$(DESTDIR)$(ZSHDIR)/_$$p" \
			"$(DESTDIR)$(SHAREDIR)/fish/vendor_completions.d/$$p.fish"; done
	rm -f "$(DESTDIR)$(UNITDIR)/passt@.service"

# A Debian package has its files below /usr and the manual pages compressed.
# What is no version, but a commit, becomes one.
.PHONY: deb
deb: DEBVERSION ?= $(shell echo '$(VERSION)' | sed -e 's/^v//' -e 's/^[^0-9]/0.1.0+git&/' -e '/^[0-9a-f]\{7,\}\(-dirty\)*$$/s/^/0.1.0+git/')
deb: PREFIX = /usr
deb: ZSHDIR = /usr/share/zsh/vendor-completions
deb: DESTDIR = out/deb
deb: clean-deb install
	gzip -9n out/deb/usr/share/man/man1/*.1
	install -d out/deb/usr/share/doc/passt-go
	install -m 644 README.md ARCHITECTURE.md out/deb/usr/share/doc/passt-go/
	install -m 644 contrib/deb/copyright out/deb/usr/share/doc/passt-go/copyright
	VERSION=$(DEBVERSION) ARCH=$$(go env GOARCH) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(NFPM) package --config contrib/nfpm.yaml --packager deb --target out/

.PHONY: clean-deb
clean-deb:
	rm -rf out/deb
