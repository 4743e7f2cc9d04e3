# make demo, make test: need the Rust toolchain, make and a C compiler. make check: the gate before every commit.
# Packagers: make && make install DESTDIR=... PREFIX=/usr; make deb for Debian

CARGO   = cargo
PREFIX  = /usr/local
BINDIR  = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
MANDIR  = $(DATADIR)/man
BASHDIR = $(DATADIR)/bash-completion/completions
ZSHDIR  = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d

TARGET = $(or $(CARGO_TARGET_DIR),target)
BUILT  = $(TARGET)/release
TOOLS  = $(basename $(notdir $(wildcard tools/bin/*.rs)))

# All that is installed: the mode, the file, and where it goes.
INSTALLED = \
	$(foreach tool,$(TOOLS),755:$(BUILT)/$(tool):$(BINDIR)/$(tool)) \
	$(foreach page,$(wildcard man/*.[1-8]),644:$(page):$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(foreach file,$(wildcard completions/bash/*),644:$(file):$(BASHDIR)/$(notdir $(file))) \
	$(foreach file,$(wildcard completions/zsh/*),644:$(file):$(ZSHDIR)/$(notdir $(file))) \
	$(foreach file,$(wildcard completions/fish/*),644:$(file):$(FISHDIR)/$(notdir $(file))) \
	$(foreach file,$(wildcard tools/patterns/*),644:$(file):$(DATADIR)/procherd/patterns/$(notdir $(file))) \
	$(foreach file,$(wildcard tools/recipes/*),755:$(file):$(DATADIR)/procherd/recipes/$(notdir $(file))) \
	$(foreach file,$(wildcard tools/hooks/*),$(if $(suffix $(file))$(filter %/crontab,$(file)),644,755):$(file):$(DATADIR)/procherd/hooks/$(notdir $(file))) \
	$(foreach file,$(wildcard man/*.json),644:$(file):$(DATADIR)/procherd/$(notdir $(file)))

all:
	$(CARGO) build --release --locked --bins

demo: all
	PATH="$(abspath $(TARGET))/release:$$PATH" tests/demo

test:
	$(CARGO) test --workspace --locked --no-fail-fast

# `make check TESTED=1`, right after `make test`, does not run the tests again.
check: format lints $(if $(TESTED),,test) docs pages scripts sizes

format:
	$(CARGO) fmt --all --check

lints:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked

# STRICT=1 makes a missing mandoc or shellcheck a failure.
pages:
	@tests/lint pages

scripts:
	@tests/lint scripts

sizes: all
	@tests/lint sizes $(TOOLS:%=$(TARGET)/release/%)

acceptance:
	$(CARGO) test --quiet --locked --test suite acceptance:: -- --nocapture

# One part alone: make bench BENCH=registry (look, end, ports, finders, watch, start, spawn, registry, keep).
bench: all
	$(CARGO) build --release --locked --package procherd-bench
	$(TARGET)/release/bench $(BENCH)

stack: all
	PROCHERD_BIN="$(abspath $(TARGET))/release" tests/stack/run
	PROCHERD_BIN="$(abspath $(TARGET))/release" tests/stack/starts
	PROCHERD_BIN="$(abspath $(TARGET))/release" tests/stack/stop

# Ten minutes unless FUZZ says otherwise: make fuzz FUZZ='--seconds 60'. A short run is one of the tests.
fuzz:
	RUSTFLAGS='-C instrument-coverage' LLVM_PROFILE_FILE=/dev/null CARGO_TARGET_DIR=$(TARGET)/guided \
		$(CARGO) run --locked --profile fuzz --package procherd-fuzz --features guided -- $(FUZZ)

# Tries what depends on luck 50 times, thousands in full size, and a storm of a minute: make soak WHAT=pkeep::storm
soak:
	PROCHERD_SOAK=$(or $(SOAK),50) $(CARGO) test --locked --test suite -- --test-threads=1 \
		$(or $(WHAT),pkill_tree::storms pkill_tree::many pkill_tree::reuse pkeep::storm)

# Shows all pages as people will read them.
man:
	man -l man/*.[1-8]

# Draws the diagrams anew, with Graphviz.
diagrams:
	@for source in docs/diagrams/*.dot; do dot -Tsvg "$$source" -o "$${source%.dot}.svg" || exit 1; done

# Writes the completions anew, from the definitions of the tools.
completions:
	PROCHERD_COMPLETIONS=write $(CARGO) test --quiet --locked --test suite completions::

install:
	@for tool in $(TOOLS); do test -x "$(BUILT)/$$tool" || \
		{ echo "$$tool is not built: run make first" >&2; exit 1; }; done
	@set -e; for item in $(INSTALLED); do \
		mode=$${item%%:*}; file=$${item#*:}; to="$(DESTDIR)$${file#*:}"; file=$${file%%:*}; \
		install -D -m "$$mode" "$$file" "$$to"; echo "$$to"; \
	done
	@sed -i 's,/usr/local/share,$(DATADIR),' $(foreach file,crontab procherd-watchdog.service,"$(DESTDIR)$(DATADIR)/procherd/hooks/$(file)")

uninstall:
	@set -e; for item in $(INSTALLED); do rm -f "$(DESTDIR)$${item##*:}"; done
	@for folder in /patterns /recipes /hooks ""; do \
		rmdir "$(DESTDIR)$(DATADIR)/procherd$$folder" 2>/dev/null || :; done

# A Debian package, in the folder DEB.
DEB = .
deb: all
	@BUILT="$(abspath $(BUILT))" packaging/deb "$(DEB)"

clean:
	$(CARGO) clean

.PHONY: all demo test check format lints docs pages scripts sizes acceptance bench stack fuzz soak man completions \
	diagrams install uninstall deb clean
