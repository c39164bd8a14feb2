# SPDX-License-Identifier: BSD-2-Clause
# gospect: `make` builds build/gospect; `make help` lists the targets.
#
#   V=1       show the commands
#   WERROR=1  treat warnings as errors (CI)
#   SAN=1     build into build/san, under AddressSanitizer and UBSan

# The file names the release; in a checkout a tag says more (v0.2.0-5-g0123abc).
VERSION ?= $(or $(if $(wildcard .git),$(shell git describe --tags --match 'v*' --dirty 2>/dev/null)),$(shell cat VERSION))
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool || echo bpftool)
B := build$(if $(SAN),/san)

# A recipe starts with $(call say,CC): one short line a file, or all commands with V=1.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-9s %s\n' '$(1)' '$(patsubst $(B)/%,%,$(or $(2),$@))')

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS ?= $(if $(SAN),-O1,-O2) -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers
comma := ,
HARDEN := -fPIE $(if $(SAN),$(SANITIZE),-fstack-protector-strong -D_FORTIFY_SOURCE=2)
# What is not used is not linked, and nothing unwinds at run time; what runs once a
# report is made small: together 7 % of the binary.
SMALL := $(if $(SAN),,-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables)
CPPFLAGS += -D_GNU_SOURCE -Isrc -Iinclude -I$(B)
# what the sanitizers insert gives false warnings (gcc 12: format-truncation; gcc 14: sizes)
ALL_CFLAGS = -std=gnu11 $(WARN) $(if $(SAN),-Wno-format-truncation,$(if $(WERROR),-Werror)) $(HARDEN) $(SMALL) $(CFLAGS)
LDFLAGS += -pie -Wl,-z,relro,-z,now $(if $(SAN),$(SANITIZE),-Wl$(comma)--gc-sections)

# Linked statically where there is an archive, so that the one file runs where these
# libraries are not installed; glibc stays dynamic.
archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a 2>/dev/null))
lib = $(if $(call archive,$(1)),-l:lib$(1).a,-l$(1))
ZSTD := $(if $(call archive,zstd),-l:libzstd.a)
# Debian 13's libelf.a is incomplete: tested, not assumed.
ELF := $(shell t=$$(mktemp) && echo 'int elf_end(void *); int main(void) { return elf_end(0); }' | \
	$(CC) -x c - -o $$t -l:libelf.a -l:libz.a $(ZSTD) 2>/dev/null && echo -l:libelf.a || echo -lelf; rm -f $$t)
LIBS := $(call lib,bpf) $(ELF) $(foreach l,Zydis jansson ncursesw tinfo z,$(call lib,$(l))) $(ZSTD) -pthread -lm

# `gospect host` is a program of its own, gospect-host, so that gospect itself does not need these
# libraries; HOST=0 leaves it out, and so does a machine without them.
HOST ?= $(shell printf '\043include <%s>\n' microhttpd.h curl/curl.h yaml.h | $(CC) -E -x c - >/dev/null 2>&1 && echo 1)
HOST_ON := $(filter-out 0,$(HOST))
HOST_PROGRAM := $(if $(HOST_ON),$(B)/gospect-host)
HOST_LIBS := -lmicrohttpd -lcurl $(call lib,yaml)

MODULES := base arch gobin proc gort host prove plan trace model goroutines memory net sql locks cpu crash slices race lint observe report agent cli
LIB_SRC := $(foreach m,$(MODULES),$(wildcard src/$(m)/*.c))
LIB_OBJ := $(LIB_SRC:src/%.c=$(B)/obj/%.o)
EXPORT_SRC := $(wildcard src/export/*.c)
EXPORT_OBJ := $(EXPORT_SRC:src/%.c=$(B)/obj/%.o)
# maps first: the linker needs definitions before uses
BPF_MAPS := bpf/maps.bpf.c bpf/calls.bpf.c
BPF_SRC := $(BPF_MAPS) $(filter-out $(BPF_MAPS),$(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
ALONE := sample death execs watchpoints
SKEL := $(B)/gospect.skel.h $(ALONE:%=$(B)/%.skel.h)

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -Wall -Wextra $(if $(WERROR),-Werror) \
	-Iinclude -Ibpf $(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH))

.PHONY: all help needs man docs docs-check completions unit san replay fuzz check check-terminal check-leaks check-busy \
	check-net check-lint check-watch check-real check-kernels check-kills check-crash check-host check-soak check-deadlocks check-layers \
	format format-check hdr-check size demo bench bench-all layout fixtures install uninstall deb image release clean FORCE
all: $(B)/gospect $(HOST_PROGRAM) $(B)/gospect.1 completions ## build build/gospect, its manual page and completions

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A plain make installs nothing: it names what is missing.
needs: | $(B) ## name what the build lacks on this machine
	@tools/setup --check
$(B):
	@mkdir -p $(B)

$(B)/version.h: FORCE | $(B)
	@echo '#define GOSPECT_VERSION "$(VERSION)"' >$@.tmp; cmp -s $@.tmp $@ && rm $@.tmp || mv $@.tmp $@

$(B)/.needs: tools/setup | $(B)
	@tools/setup --check && touch $@

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(wildcard include/gospect/*) Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/gospect.bpf.o: $(BPF_OBJ)
	$(call say,LINK)
	$(Q)$(BPFTOOL) gen object $@ $^

$(B)/gospect.skel.h: $(B)/gospect.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name gospect_bpf > $@.tmp
	@mv $@.tmp $@

# CPU samples; the end of a process; starts; watchpoints: objects of their own, loaded only where they are wanted
$(B)/bpf/sample.o: include/gospect/cpu.h
$(B)/bpf/death.o: include/gospect/crash.h
$(B)/bpf/watchpoints.o: include/gospect/watchpoints.h
$(ALONE:%=$(B)/bpf/%.o): $(B)/bpf/%.o: bpf/%.c bpf/pidns.h Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
$(ALONE:%=$(B)/%.bpf.o): $(B)/%.bpf.o: $(B)/bpf/%.o
	$(call say,LINK)
	$(Q)$(BPFTOOL) gen object $@ $<
$(ALONE:%=$(B)/%.skel.h): $(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp
	@mv $@.tmp $@

$(filter $(B)/obj/trace/%,$(LIB_OBJ)): $(SKEL)
$(filter $(B)/obj/cli/% $(B)/obj/report/%,$(LIB_OBJ)): CFLAGS := $(CFLAGS:-O2=-Os)
$(B)/obj/%.o: src/%.c Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/libgospect.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(B)/gospect: $(B)/obj/main.o $(B)/libgospect.a | $(B)/.layers
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(B)/obj/main.o $(B)/libgospect.a $(LIBS)

# What sends out what the agent saw.
$(B)/libexport.a: $(EXPORT_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(B)/gospect-host: $(B)/obj/host_main.o $(B)/libexport.a $(B)/libgospect.a | $(B)/.layers
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(HOST_LIBS) $(LIBS)

# The folders may include only what is to their left (tools/check-layers).
$(B)/.layers: $(LIB_SRC) $(EXPORT_SRC) $(wildcard src/*/*.h) src/main.c tools/check-layers | $(B)
	@tools/check-layers && touch $@
check-layers: ## check that each folder includes only what it may, and that no file is over 600 lines
	@tools/check-layers
	@tools/check-sizes

$(B)/obj/main.o $(B)/obj/host_main.o $(addprefix $(B)/obj/export/,metric_self.o otlp.o push.o) $(B)/gen-man: $(B)/version.h
$(B)/gen-man: tools/gen-man.c $(B)/libgospect.a
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ tools/gen-man.c $(B)/libgospect.a $(LIBS)
$(B)/gospect.1: $(B)/gen-man
	$(call say,MAN)
	$(Q)$(B)/gen-man > $@
man: $(B)/gospect.1 ## build the manual page

$(B)/gen-completion: tools/gen-completion.c $(B)/libgospect.a
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ tools/gen-completion.c $(B)/libgospect.a $(LIBS)
# The document of the report, from the descriptions that print it; committed.
$(B)/gen-schema: tools/gen-schema.c $(B)/libgospect.a
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ tools/gen-schema.c $(B)/libgospect.a $(LIBS)
docs: $(B)/gen-schema ## write docs/report-schema.md
	$(Q)$(B)/gen-schema > docs/report-schema.md
docs-check: $(B)/gen-schema ## fail when docs/report-schema.md is not up to date
	@$(B)/gen-schema | diff -u docs/report-schema.md - || { echo 'docs/report-schema.md is not up to date: make docs' >&2; exit 1; }

COMPLETIONS := $(addprefix $(B)/completions/,bash zsh fish)
completions: $(COMPLETIONS) ## build the completions of bash, zsh and fish
$(COMPLETIONS): $(B)/gen-completion
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)$(B)/gen-completion $(@F) > $@

# --- tests -------------------------------------------------------------------
UNIT_C := $(wildcard tests/unit/test_*.c)
EXPORT_UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_export*.c))
UNIT := $(filter-out $(if $(HOST_ON),,$(EXPORT_UNIT)),$(UNIT_C:tests/unit/%.c=$(B)/unit/%))
$(EXPORT_UNIT): $(B)/unit/%: tests/unit/%.c $(B)/libexport.a $(B)/libgospect.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(B)/libexport.a $(B)/libgospect.a $(HOST_LIBS) $(LIBS) -lcmocka
$(B)/unit/%: tests/unit/%.c $(B)/libgospect.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(B)/libgospect.a $(LIBS) -lcmocka

# The fuzz targets: on their corpus (with SAN=1), and for libFuzzer.
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
$(B)/replay/%: tests/fuzz/fuzz_%.c tests/fuzz/replay_main.c $(B)/libgospect.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< tests/fuzz/replay_main.c $(B)/libgospect.a $(LIBS)
replay: $(addprefix $(B)/replay/,$(FUZZ))
PARSERS := $(foreach m,base arch gobin,$(wildcard src/$(m)/*.c)) \
	$(filter-out %/lint.c %/tables.c %/typed_nil.c,$(wildcard src/lint/*.c))
$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(PARSERS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -o $@ $< $(PARSERS) \
		-lelf -lZydis -lz -pthread -lm
fuzz: $(addprefix $(B)/fuzz/fuzz_,$(FUZZ)) ## build the fuzz targets for libFuzzer
unit: $(UNIT) ## build the unit tests (build/unit/test_*)
san: ## build gospect and the unit tests under AddressSanitizer and UBSan (build/san)
	@$(MAKE) --no-print-directory SAN=1 build/san/gospect $(HOST_PROGRAM:build/%=build/san/%) unit replay

check: ## run the tests (root)
	@tools/setup --tests
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc)) all unit san docs-check check-layers $(BENCH) $(B)/record
	@tests/run --again

check-terminal: $(B)/gospect ## attach on a terminal, 60 s of keys per program (15 min)
	@tools/setup --tests
	@GOSPECT_TERMINAL_S=60 tests/run --only test_terminal.

check-leaks: $(B)/gospect ## leak proofs on the leak kernels of Go's own tests, every release (15 min)
	@tools/setup --tests
	@tests/leaks/run

check-busy: $(B)/gospect ## only the programs without a leak: a hundred looks each (10 min)
	@tools/setup --tests
	@tests/leaks/run --programs

check-net: ## network and database/sql on every Go release and variant (minutes)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_NET_ALL=1 tests/run --only test_net.
	@GOSPECT_NET_ALL=1 tests/run --no-build --only test_sql.
	@GOSPECT_NET_ALL=1 tests/run --no-build --only test_redis.
	@GOSPECT_NET_ALL=1 tests/run --no-build --only test_statements.
	@tests/grpc-releases

check-lint: ## typed nils and requests without a timeout on every Go release, plain, PIE and without optimization (20 min to build them)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_LINT_ALL=1 tests/gobuild 'typednil-*' 'noclient-*' 'ownclient-*'
	@GOSPECT_LINT_ALL=1 tests/run --no-build --only test_lint.

check-watch: ## data races of every kind and their healthy twins, every Go release since 1.22 (root, 30 min)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_WATCH_ALL=1 tests/gobuild 'races-*'
	@GOSPECT_WATCH_ALL=1 tests/run --no-build --only test_watch.

check-real: $(B)/gospect ## real programs, healthy and under load: nothing to report (root, fetches them, 30 min)
	@tools/setup --tests
	@tests/real/run

check-kills: ## a thousand SIGKILLs while probes are armed and taken away (root, 30 min)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_KILLS=500 tests/run --only test_kills

check-crash: ## every kind of death on every Go release (root, 10 min)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_CRASH_ALL=1 tests/run --only test_crash.

check-host: ## gospect host under systemd, in an image, before alertmanager and a collector (root, 15 min)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@tests/gobuild 'dbcases-*' 'handlers-*' 'httpload-*' 'ghosts-*' 'profile-*' 'cpu-*' 'work-*-stripped'
	@GOSPECT_HOST_ALL=1 tests/run --no-build --only test_host_

check-soak: ## ten thousand looks at healthy programs: nothing found, gospect itself flat (root, 1 h; GOSPECT_LOOKS)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@tests/gobuild 'httpload-*' 'locks-*'
	@tests/soak/run

check-deadlocks: ## locks in all ways, hundreds of looks each: no false deadlock (root, hours; GOSPECT_LOOKS)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@tests/gobuild 'locks-*'
	@tests/soak/deadlocks

check-kernels: ## the BPF programs on Debian's kernels 5.10 to sid, under QEMU (minutes)
	@tools/setup --tests
	@$(MAKE) --no-print-directory all unit
	@tests/gobuild $$(tools/releases 1.22 newest | sed 's/.*/netcount-&-stripped/')
	@tools/kernels

demo: ## install what is missing, build, trace a web shop full of bugs for 20 s (root)
	@tools/setup
	@$(MAKE) --no-print-directory all
	@tests/demo

$(B)/bench-%: tools/bench-%.c $(B)/libgospect.a
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libgospect.a $(LIBS)
BENCH := $(patsubst tools/%.c,$(B)/%,$(wildcard tools/bench-*.c))
bench: all $(BENCH) ## measure what gospect costs (root, 10 minutes; tools/bench --list)
	@tools/bench
bench-all: all $(BENCH) ## every section, longer slices (root, half an hour)
	@tools/bench --all

$(B)/record: tools/record.c $(B)/libgospect.a
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -Wl,--wrap=image_read,--wrap=image_read_addr -o $@ $< $(B)/libgospect.a $(LIBS)
fixtures: $(B)/record ## record anew the process memory that unit tests read
	@tools/fixtures

layout: ## regenerate src/gobin/layout_table.c from every Go release (minutes)
	cd tools/gen-layout && go run .

# --- the source --------------------------------------------------------------
C_FILES = $(filter-out src/gobin/layout_table.c,$(shell find src bpf include tests tools -name '*.[ch]'))
CLANG_FORMAT ?= $(shell command -v clang-format-14 || echo clang-format)
FORMAT = $(CLANG_FORMAT) --version | grep -q 'version 14\.' || { echo 'format: clang-format 14 is needed' >&2; exit 1; }; \
	$(CLANG_FORMAT)
format: ## format the C files with clang-format 14
	@$(FORMAT) -i $(C_FILES)
format-check: ## fail when a C file is not formatted
	@$(FORMAT) --dry-run -Werror $(C_FILES)

# Each header must compile alone: it includes what it uses.
hdr-check: $(SKEL) ## check that every header is self-contained
	@bad=; for h in src/*/*.h include/gospect/*.h; do \
		$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Werror -fsyntax-only -x c $$h || bad=1; done; \
	for h in bpf/*.h; do $(CLANG) $(BPF_CFLAGS) -Wno-unused-function -Werror -fsyntax-only -x c $$h || bad=1; done; test -z "$$bad"

size: $(B)/gospect ## sizes of the binary, of the BPF object, of the source
	@size $(B)/gospect
	@du -b $(B)/gospect $(B)/gospect.bpf.o
	@find src bpf include -name '*.[ch]' -o -name '*.def' | grep -v layout_table | xargs cat | wc -l | sed 's/$$/\tlines in src, bpf, include/'

# --- installing --------------------------------------------------------------
PREFIX ?= /usr/local
BASH := share/bash-completion/completions/gospect
ZSH := share/zsh/site-functions/_gospect
FISH := share/fish/vendor_completions.d/gospect.fish
INSTALLED := bin/gospect bin/gospect-host share/man/man1/gospect.1 $(BASH) $(ZSH) $(FISH)
install: all ## install to PREFIX (/usr/local), under DESTDIR
	install -D -m 755 $(B)/gospect $(DESTDIR)$(PREFIX)/bin/gospect
	$(if $(HOST_PROGRAM),install -D -m 755 $(B)/gospect-host $(DESTDIR)$(PREFIX)/bin/gospect-host)
	install -D -m 644 $(B)/gospect.1 $(DESTDIR)$(PREFIX)/share/man/man1/gospect.1
	install -D -m 644 $(B)/completions/bash $(DESTDIR)$(PREFIX)/$(BASH)
	install -D -m 644 $(B)/completions/zsh $(DESTDIR)$(PREFIX)/$(ZSH)
	install -D -m 644 $(B)/completions/fish $(DESTDIR)$(PREFIX)/$(FISH)
uninstall: ## remove what install installed
	rm -f $(INSTALLED:%=$(DESTDIR)$(PREFIX)/%)

deb: all ## a package for this release of Debian, in build/deb
	@tools/deb $(VERSION)
image: all ## an OCI image of both programs, in build/image
	@tools/image $(VERSION)

release: ## source tarball, stripped binaries and checksums in build/release
	@tools/release $(VERSION)

clean: ## remove build/
	rm -rf $(B)

-include $(wildcard $(B)/obj/*.d $(B)/obj/*/*.d $(B)/unit/*.d)
.SECONDARY:
.DELETE_ON_ERROR:
