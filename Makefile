# SPDX-License-Identifier: BSD-2-Clause
# gospect: `make` builds build/gospect; `sudo make demo`, `sudo make check`.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool || echo bpftool)
B := build

CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CPPFLAGS += -D_GNU_SOURCE -DGOSPECT_VERSION='"$(VERSION)"' -Isrc -Iinclude -I$(B)
ALL_CFLAGS = -std=gnu11 $(WARN) $(HARDEN) $(CFLAGS)
LDFLAGS += -pie -Wl,-z,relro,-z,now

# Linked statically where the archive is there, so that the one file runs where
# these libraries are not installed; glibc stays dynamic.
archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a))
lib = $(if $(call archive,$(1)),-l:lib$(1).a,-l$(1))
ZSTD := $(if $(call archive,zstd),-l:libzstd.a)
# Debian 13's libelf.a lacks a part of itself: tried, not assumed.
ELF := $(shell t=$$(mktemp) && echo 'int elf_end(void *); int main(void) { return elf_end(0); }' | \
	$(CC) -x c - -o $$t -l:libelf.a -l:libz.a $(ZSTD) 2>/dev/null && echo -l:libelf.a || echo -lelf; rm -f $$t)
LIBS := $(call lib,bpf) $(ELF) $(foreach l,Zydis jansson ncursesw tinfo z,$(call lib,$(l))) $(ZSTD) -pthread -lm

MODULES := base arch gobin proc gort host prove plan trace model goroutines memory net sql locks observe report cli
LIB_SRC := $(foreach m,$(MODULES),$(wildcard src/$(m)/*.c))
LIB_OBJ := $(LIB_SRC:src/%.c=$(B)/obj/%.o)
# maps first: the linker wants the definitions before their uses
BPF_MAPS := bpf/maps.bpf.c bpf/calls.bpf.c
BPF_SRC := $(BPF_MAPS) $(filter-out $(BPF_MAPS),$(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
SKEL := $(B)/gospect.skel.h

MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -Wall -Wextra -Iinclude -Ibpf \
	$(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH))

.PHONY: all check demo bench layout clean needs check-layers check-leaks check-busy check-net check-kernels install man asan fuzz fixtures
all: $(B)/gospect $(B)/gospect.1

# Plain make installs nothing: it names what is missing.
needs: | $(B)
	@tools/setup --check
$(B):
	@mkdir -p $(B)

$(B)/.needs: tools/setup | $(B)
	@tools/setup --check && touch $@

$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(wildcard include/gospect/*) Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/gospect.bpf.o: $(BPF_OBJ)
	$(BPFTOOL) gen object $@ $^

$(SKEL): $(B)/gospect.bpf.o
	$(BPFTOOL) gen skeleton $< name gospect_bpf > $@.tmp
	@mv $@.tmp $@

$(filter $(B)/obj/trace/%,$(LIB_OBJ)): $(SKEL)
$(B)/obj/%.o: src/%.c Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/libgospect.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/gospect: $(B)/obj/main.o $(B)/libgospect.a | $(B)/.layers
	$(CC) $(LDFLAGS) -o $@ $(B)/obj/main.o $(B)/libgospect.a $(LIBS)

# The folders may include only what is to their left (tools/check-layers).
$(B)/.layers: $(LIB_SRC) $(wildcard src/*/*.h) src/main.c tools/check-layers | $(B)
	@tools/check-layers && touch $@
check-layers:
	tools/check-layers

$(B)/gen-man: tools/gen-man.c $(B)/libgospect.a
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ tools/gen-man.c $(B)/libgospect.a $(LIBS)
$(B)/gospect.1: $(B)/gen-man
	$(B)/gen-man > $@
man: $(B)/gospect.1

# --- tests -------------------------------------------------------------------
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
$(B)/unit/%: tests/unit/%.c $(B)/libgospect.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(B)/libgospect.a $(LIBS) -lcmocka

# The parsers again, under AddressSanitizer and UBSan, on damaged executables.
ASAN_SRC := $(foreach m,base arch gobin,$(wildcard src/$(m)/*.c))
ASAN_LIBS := -lelf -lZydis -lz -pthread -lm
ASAN_FLAGS := -std=gnu11 $(WARN) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
$(B)/asan/obj/%.o: src/%.c Makefile | $(B)/.needs
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ASAN_FLAGS) -MMD -MP -c $< -o $@
$(B)/asan/libparsers.a: $(ASAN_SRC:src/%.c=$(B)/asan/obj/%.o)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/asan/test_%: tests/unit/test_%.c $(B)/asan/libparsers.a
	$(CC) $(CPPFLAGS) $(ASAN_FLAGS) -o $@ $< $(B)/asan/libparsers.a -lcmocka $(ASAN_LIBS)
$(B)/asan/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay_main.c $(B)/asan/libparsers.a
	$(CC) $(CPPFLAGS) $(ASAN_FLAGS) -o $@ $< tests/fuzz/replay_main.c $(B)/asan/libparsers.a $(ASAN_LIBS)
PROVE_OBJ := $(patsubst src/%.c,$(B)/asan/obj/%.o,$(foreach m,proc gort prove,$(wildcard src/$(m)/*.c)))
# those that read a process's memory, too
READ_TESTS := prove recorded faults
$(READ_TESTS:%=$(B)/asan/test_%): $(B)/asan/test_%: tests/unit/test_%.c $(wildcard tests/unit/*.h) $(PROVE_OBJ) $(B)/asan/libparsers.a
	$(CC) $(CPPFLAGS) $(ASAN_FLAGS) -o $@ $< $(PROVE_OBJ) $(B)/asan/libparsers.a -lcmocka $(ASAN_LIBS)
$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(ASAN_SRC)
	@mkdir -p $(@D)
	$(CLANG) $(CPPFLAGS) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -o $@ $< $(ASAN_SRC) $(ASAN_LIBS)

FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
ASAN := $(addprefix $(B)/asan/,$(notdir $(wildcard $(addprefix tests/unit/test_,$(addsuffix .c,gobin decode cursor $(READ_TESTS))))))
ASAN := $(ASAN:.c=) $(addprefix $(B)/asan/replay_,$(FUZZ))
asan: $(ASAN)
fuzz: $(addprefix $(B)/fuzz/fuzz_,$(FUZZ))
unit: $(UNIT)

check:
	@tools/setup --tests
	@$(MAKE) --no-print-directory all unit asan
	@tests/run

# Proofs of leaks on the leak kernels of Go's own tests, every release; a quarter of an hour.
check-leaks: $(B)/gospect
	@tools/setup --tests
	@tests/leaks/run

# Of them only the programs without a leak: a hundred looks each, with and without a proof; ten minutes.
check-busy: $(B)/gospect
	@tools/setup --tests
	@tests/leaks/run --programs

# Network and database/sql against every release and variant, some minutes.
check-net:
	@tools/setup --tests
	@$(MAKE) --no-print-directory all
	@GOSPECT_NET_ALL=1 tests/run --only test_net.
	@GOSPECT_NET_ALL=1 tests/run --no-build --only test_sql.

# The BPF programs on older and newer kernels, under QEMU; some minutes.
check-kernels:
	@tools/setup --tests
	@$(MAKE) --no-print-directory all unit
	@tests/gobuild 'netcount-1.22.*-stripped' 'netcount-1.27.*-stripped'
	@tools/kernels

demo:
	@tools/setup
	@$(MAKE) --no-print-directory all
	@tests/demo

$(B)/bench-%: tools/bench-%.c $(B)/libgospect.a
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libgospect.a $(LIBS)
BENCH := $(patsubst tools/%.c,$(B)/%,$(wildcard tools/bench-*.c))
bench: all $(BENCH)
	@tools/bench

# The memory of small Go programs that the unit tests read: recorded anew.
$(B)/record: tools/record.c $(B)/libgospect.a
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -Wl,--wrap=image_read,--wrap=image_read_addr -o $@ $< $(B)/libgospect.a $(LIBS)
fixtures: $(B)/record
	@tools/fixtures

# Regenerates src/gobin/layout_table.c from every Go release (minutes).
layout:
	cd tools/gen-layout && go run . -fields ../../src/gobin/layout_fields.def -o ../../src/gobin/layout_table.c

PREFIX ?= /usr/local
install: all
	install -D -m 755 $(B)/gospect $(DESTDIR)$(PREFIX)/bin/gospect
	install -D -m 644 $(B)/gospect.1 $(DESTDIR)$(PREFIX)/share/man/man1/gospect.1

clean:
	rm -rf $(B)

-include $(wildcard $(B)/obj/*.d $(B)/obj/*/*.d $(B)/asan/obj/*/*.d $(B)/unit/*.d)
.SECONDARY:
.DELETE_ON_ERROR:
