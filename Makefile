# Outrider. `make help` lists the targets.
#
# One set of rules serves every build: plain, ASan, TSan and fuzz differ by BUILD (where outputs go), CC and
# SANITIZE. `make asan` calls this file again with those set. Sources are found by wildcard: a new file needs
# no edit here.

BUILD ?= build
SANITIZE ?=
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 10
SHARED_DATA ?= ../shared/data
PYTHON ?= python3

ifeq ($(origin CC),default)
CC := gcc
endif

# Parallel unless told otherwise; a make below this one shares its job slots.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules
export PYTHONDONTWRITEBYTECODE := 1
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

BIN := $(BUILD)/outrider
UNIT := $(BUILD)/unit

# --- sources -------------------------------------------------------------------------------------------

SOURCES := $(wildcard agent/*.c agent/*/*.c agent/*/*/*.c plugins/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/page_assets.o
LIB_OBJECTS := $(filter-out %/agent/main.o,$(OBJECTS))
UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_OBJECTS := $(UNIT_SOURCES:%.c=$(BUILD)/obj/%.o)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(FUZZ_SOURCES:tests/fuzz/%.c=$(BUILD)/%)
C_FILES := $(wildcard agent/*.[ch] agent/*/*.[ch] agent/*/*/*.[ch] plugins/*.[ch] tests/*/*.[ch])

# --- flags ---------------------------------------------------------------------------------------------

# 0.1.0, and the commit where there is one.
VERSION := 0.1.0$(addprefix +,$(shell git describe --always --dirty 2>/dev/null))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CPPFLAGS_ALL := -Iagent -D_GNU_SOURCE
CFLAGS_ALL := -std=c17 -g -fno-strict-aliasing -fno-common -fPIE -fstack-protector-strong \
	-fstack-clash-protection -ffunction-sections -fdata-sections
LDFLAGS_ALL := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections -Wl,--as-needed

ifeq ($(SANITIZE),)
# clang knows level 2 of fortify for sure, gcc 12 level 3.
FORTIFY := $(if $(findstring clang,$(CC)),2,3)
CFLAGS_ALL += -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(FORTIFY)
else
SANITIZE_FLAGS := -fsanitize=$(SANITIZE) $(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined)
CFLAGS_ALL += -O1 -fno-omit-frame-pointer -DSANITIZED=1 $(SANITIZE_FLAGS)
LDFLAGS_ALL += $(SANITIZE_FLAGS)
endif

# Libraries of the agent, by their pkg-config names; the list grows with the features that need it.
AGENT_PACKAGES := libevent_core libevent_extra libevent_pthreads libcares libcjson openssl hiredis yaml-0.1 libcurl librabbitmq libseccomp zlib
# Their flags are asked for once, after the packages are there, and kept in a file that make includes.
LIBS_MK := $(BUILD)/libs.mk

# Targets that compile; the others must work on a machine that has no compiler.
PASSIVE := help clean deps format lint demo interop swarm-check swarm-demo check bench simulate fuzz asan tsan static static-check image
ifneq ($(filter-out $(PASSIVE),$(or $(MAKECMDGOALS),all)),)
include $(LIBS_MK)
endif

# --- setting up ----------------------------------------------------------------------------------------

# build/deps/GROUP says that the packages of GROUP were seen; the script is a fast no-op when they are.
DEPS := build/deps

$(DEPS)/%: .ci/deps.sh
	@mkdir -p $(@D)
	@.ci/deps.sh $*
	@touch $@

ifeq ($(STATIC),)
$(LIBS_MK): Makefile | $(DEPS)/build
	@mkdir -p $(@D)
	@printf 'AGENT_CFLAGS := %s\nAGENT_LIBS := %s\n' \
		"$$(pkg-config --cflags $(AGENT_PACKAGES))" "$$(pkg-config --libs $(AGENT_PACKAGES))" >$@
else
# Debian's archives, but for the two that .ci/static-libs.sh compiles; see docs/decisions/0016-static-binary.md.
STATIC_LIBS := build/static-libs
STATIC_ARCHIVES := seccomp rabbitmq yaml cares event_openssl event_pthreads event_extra event_core hiredis ssl crypto z
LDFLAGS_ALL := $(filter-out -pie,$(LDFLAGS_ALL)) -static-pie -Wl,-z,pack-relative-relocs
# Tables for exceptions, which C has not, would be an eighth of the file; a debugger finds its own beside it.
CFLAGS_ALL += -ffile-prefix-map=$(CURDIR)=. -fno-asynchronous-unwind-tables -fno-unwind-tables
# What is not on the path of a request is made small: the image has a bound.
$(BUILD)/obj/plugins/%.o $(BUILD)/obj/agent/control/%.o $(BUILD)/obj/agent/attach/%.o $(BUILD)/obj/agent/net/fetch%.o $(BUILD)/obj/agent/net/httpd%.o: CFLAGS += -Os
$(LIBS_MK): Makefile .ci/static-libs.sh | $(DEPS)/build $(DEPS)/static
	@mkdir -p $(@D)
	@.ci/static-libs.sh $(STATIC_LIBS)
	@for name in $(STATIC_ARCHIVES); do objcopy -D -R .eh_frame -R .rela.eh_frame \
		"$$($(CC) -print-file-name=lib$$name.a)" "$(STATIC_LIBS)/lib/lib$$name.a" || exit 1; done
	@printf 'AGENT_CFLAGS := %s\nAGENT_LIBS := %s\n' "-I$(STATIC_LIBS)/include" \
		"-L$(STATIC_LIBS)/lib $(STATIC_LIBS)/lib/libcurl.a $(STATIC_LIBS)/lib/libcjson.a -Wl,-Bstatic $(addprefix -l,$(STATIC_ARCHIVES)) -lm" >$@
endif

# --- the program ---------------------------------------------------------------------------------------

.PHONY: all
all: $(BIN) ## builds build/outrider (the default)

# Relinked and recompiled when flags or the version change, not only when sources do.
FLAGS := $(CC) $(CPPFLAGS_ALL) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS) $(LDFLAGS_ALL) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@
$(BUILD)/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define OUTRIDER_VERSION "$(VERSION)"' | cmp -s - $@ || echo '#define OUTRIDER_VERSION "$(VERSION)"' >$@
FORCE:

COMPILE = $(CC) $(CPPFLAGS_ALL) $(AGENT_CFLAGS) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP

# banned.h comes before every source: strcpy and its like do not compile.
$(BUILD)/obj/agent/%.o: agent/%.c $(BUILD)/flags $(LIBS_MK) | $(DEPS)/build
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(WARN) -include agent/base/banned.h $(CFLAGS) -c $< -o $@
$(BUILD)/obj/plugins/%.o: plugins/%.c $(BUILD)/flags $(LIBS_MK) | $(DEPS)/build
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(WARN) -include agent/base/banned.h $(CFLAGS) -c $< -o $@

# main.c is the one file that knows the version.
$(BUILD)/obj/agent/main.o: $(BUILD)/version.h
$(BUILD)/obj/agent/main.o: CPPFLAGS_ALL += -include $(BUILD)/version.h

# The page of the admin port, compressed into the program, with the packages that its lock file pins. They are fetched once, where npm is
# there and its registry answers; else the page has no charts, and the next make asks again.
PAGE := agent/control/ui/page
PAGE_PACKAGES := build/page
PAGE_FILES := $(wildcard $(PAGE)/*)
ifneq ($(file <$(PAGE_PACKAGES)/state),yes)
$(PAGE_PACKAGES)/state: FORCE
endif
$(PAGE_PACKAGES)/state: $(PAGE)/package-lock.json .ci/page-packages.sh
	@.ci/page-packages.sh $(PAGE) $(PAGE_PACKAGES)
# What is handed on has charts, so there npm is installed; a plain make takes it where it is.
NPM = .ci/deps.sh page || echo "no npm: the admin page is built without charts"
# Also when a file has gone.
$(BUILD)/page_files: FORCE
	@mkdir -p $(@D)
	@echo '$(PAGE_FILES)' | cmp -s - $@ || echo '$(PAGE_FILES)' >$@
$(BUILD)/page_assets.c: $(PAGE_FILES) $(BUILD)/page_files $(PAGE_PACKAGES)/state .ci/embed.py
	@.ci/embed.py $@ $(PAGE) $(PAGE_PACKAGES)
$(BUILD)/obj/page_assets.o: $(BUILD)/page_assets.c agent/control/ui/assets.h $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) $(CFLAGS) -c $< -o $@

$(BIN): $(OBJECTS)
	@echo "  LD  $@"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LDFLAGS) $^ $(AGENT_LIBS) -o $@
	@$(if $(STATIC),cp $@ $@.debug; strip $@)

-include $(OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d)

# --- unit tests: one binary, one suite for each tests/unit/test_*.c -----------------------------------

# Each test file exports `Suite *suite_<name>(void)`; the list of them is made from the file names.
SUITES := $(sort $(patsubst tests/unit/test_%.c,%,$(filter tests/unit/test_%,$(UNIT_SOURCES))))
$(BUILD)/unit_suites.h: FORCE
	@mkdir -p $(@D)
	@printf 'SUITE(%s)\n' $(SUITES) | cmp -s - $@ || printf 'SUITE(%s)\n' $(SUITES) >$@

# Check's macros do not survive -Wconversion; the suites are declared by main.c alone.
$(BUILD)/obj/tests/unit/%.o: tests/unit/%.c $(BUILD)/flags $(LIBS_MK) $(BUILD)/unit_suites.h | $(DEPS)/check
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(COMPILE) -I$(BUILD) -Itests/unit $(filter-out -Wconversion -Wmissing-prototypes,$(WARN)) $(CFLAGS) -c $< -o $@

$(UNIT): $(LIB_OBJECTS) $(UNIT_OBJECTS)
	@echo "  LD  $@"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) $(LDFLAGS) $^ $(AGENT_LIBS) $$(pkg-config --libs check) -o $@

.PHONY: unit
unit: $(UNIT) ## builds and runs the unit tests alone; one suite: build/unit NAME
	@$(UNIT)

# --- test tiers ----------------------------------------------------------------------------------------

# tests/check/tiers.py runs each `name=command`, prints its time, adds up the counts, ends with one line.
TIERS := $(PYTHON) tests/check/tiers.py
RUN_TESTS = $(PYTHON) tests/run/run.py --bin
HAS_RUN := $(wildcard tests/run/run.py)
HAS_WIRING := $(wildcard tests/wiring/run)
unit_tier = "unit=$(PYTHON) tests/check/suites.py $(1)/unit $(2)"
run_tier = $(if $(HAS_RUN),"run=OUTRIDER_BIN=$(1)/outrider $(RUN_TESTS) $(1)/outrider $(2)")

# The goals that check, asan and tsan need built, reached by a make of their own: only after deps is the
# list of libraries known.
.PHONY: programs
programs: $(BIN) $(UNIT)

.PHONY: check
check: | $(DEPS)/build $(DEPS)/check ## builds, then runs unit tests, tests/run and tests/check; ends with the counts
	@$(MAKE) --no-print-directory programs
	@$(TIERS) $(call unit_tier,$(BUILD)) $(call run_tier,$(BUILD)) \
		$(if $(HAS_WIRING),"wiring=tests/wiring/run --outrider $(BIN)") \
		"includes=$(PYTHON) tests/check/includes.py" \
		"documented=$(PYTHON) tests/check/documented.py --bin $(BIN)" \
		"sizes=$(PYTHON) tests/check/sizes.py" \
		"words=$(PYTHON) tests/check/words.py" \
		"subsystems=$(PYTHON) tests/check/subsystems.py"

.PHONY: asan
asan: | $(DEPS)/build $(DEPS)/check ## the unit and run tests under AddressSanitizer and UBSan (build/asan)
	@$(MAKE) --no-print-directory BUILD=build/asan SANITIZE=address,undefined programs
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
		CK_DEFAULT_TIMEOUT=60 $(TIERS) $(call unit_tier,build/asan) $(call run_tier,build/asan)

# ThreadSanitizer needs its shadow where a kernel with much address randomisation may put something else.
NO_ASLR = $(shell setarch -R true 2>/dev/null && echo setarch -R)

# What it cannot find anything in: suites of one thread, and dialogues with one worker's parsers, which run under ASan.
TSAN_SUITES_LESS := balance balance_health config_yaml config_properties options_types options_check options_layers stack http_request http_response \
	http_head http_chunk properties redis_codec spring_json consul_kv slots counts_model limits_model span_queue breaker net_addr net_resolve \
	build
TSAN_RUN_LESS := strict_requests.,strict_replies.,oddities.,authority.,http10.,interim.,forwarding.,check.,cli.,completion.,style.
# They wait more than they do anything, and others of their kind are run.
TSAN_RUN_LESS := $(TSAN_RUN_LESS),config_consul.slow_peers,registry_consul.more_services,ui_api.a_reader_that

.PHONY: tsan
tsan: | $(DEPS)/build $(DEPS)/check ## the unit and run tests under ThreadSanitizer (build/tsan), but those of one thread
	@$(MAKE) --no-print-directory BUILD=build/tsan SANITIZE=thread programs
	@TSAN_OPTIONS="halt_on_error=0:exitcode=66:second_deadlock_stack=1" \
		CK_DEFAULT_TIMEOUT=60 $(NO_ASLR) $(TIERS) $(call unit_tier,build/tsan,$(TSAN_SUITES_LESS)) \
		$(call run_tier,build/tsan,--skip $(TSAN_RUN_LESS))

# --- fuzzing: clang's libFuzzer over tests/fuzz/fuzz_*.c ----------------------------------------------

.PHONY: fuzz fuzz-programs
fuzz: | $(DEPS)/build $(DEPS)/fuzz ## each fuzz target for FUZZ_SECONDS (10), after its seeds and regressions
	@$(MAKE) --no-print-directory BUILD=build/fuzz CC=clang SANITIZE=address,undefined,fuzzer-no-link fuzz-programs
	@$(TIERS) --jobs $$(nproc) $(foreach f,$(notdir $(FUZZ_BINS)),\
		"$(f)=SHARED_DATA=$(SHARED_DATA) .ci/fuzz.sh build/fuzz/$(f) $(FUZZ_SECONDS)")
fuzz-programs: $(FUZZ_BINS)

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(LIB_OBJECTS)
	@echo "  LD  $@"
	@$(COMPILE) -MF $@.d -Itests/fuzz $(CFLAGS) $(LDFLAGS_ALL) -fsanitize=fuzzer $^ $(AGENT_LIBS) -o $@

# --- the rest ------------------------------------------------------------------------------------------

.PHONY: deps
deps: ## installs the Debian packages that are missing (all groups), with sudo when not root
	@.ci/deps.sh build static check bench demo interop swarm fuzz lint
	@$(BROWSER)
	@$(NPM)

.PHONY: demo
demo: | $(DEPS)/build $(DEPS)/demo ## an edge and three services, each behind its agent, on this machine (DEMO_SECONDS)
	@$(MAKE) --no-print-directory all
	@OUTRIDER_BIN=$(BIN) exec deploy/demo/demo

# A machine whose packages have no such browser does without it.
BROWSER = .ci/deps.sh browser || echo "no browser: the test of the Hystrix Dashboard's page is skipped"

.PHONY: interop
interop: | $(DEPS)/build $(DEPS)/interop ## with the real peers that Maven and npm have; skipped with one line where they are out of reach
	@$(BROWSER)
	@$(MAKE) --no-print-directory all
	@OUTRIDER_BIN=$(BIN) exec tests/interop/run

.PHONY: ui-check
ui-check: | $(DEPS)/build ## the admin page in a real browser; skipped with one line where npm or the browser is out of reach
	@.ci/deps.sh browser || true
	@$(NPM)
	@$(MAKE) --no-print-directory all
	@OUTRIDER_BIN=$(BIN) exec tests/ui/run

.PHONY: swarm-check
swarm-check: | $(DEPS)/build $(DEPS)/static $(DEPS)/swarm ## on a real swarm of engines in namespaces of this machine (FULL=1); skipped with one line where it allows none
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory static
	@OUTRIDER_BIN=$(BIN) exec tests/swarm/run

.PHONY: swarm-demo
swarm-demo: | $(DEPS)/build $(DEPS)/static $(DEPS)/swarm ## a real swarm on this machine with the agent and deploy/landscape.yml (DEMO_SECONDS)
	@$(MAKE) --no-print-directory static
	@exec tests/swarm/demo

.PHONY: bench
bench: | $(DEPS)/build $(DEPS)/bench ## CPU, latency and memory beside nginx, HAProxy and a bare relay (BENCH_QUICK=1)
	@$(MAKE) --no-print-directory all $(BUILD)/bench/balance $(BUILD)/bench/circuit $(BUILD)/bench/spans
	@$(BUILD)/bench/balance
	@$(BUILD)/bench/circuit
	@$(BUILD)/bench/spans
	@OUTRIDER_BIN=$(BIN) tests/bench/run

.PHONY: simulate
simulate: | $(DEPS)/build ## 1,000 clients and 1,000 servers in virtual time: writes docs/balancing.svg
	@$(MAKE) --no-print-directory $(BUILD)/bench/simulate
	@$(BUILD)/bench/simulate docs/balancing.svg

# What measures the balancer links it and base alone.
BALANCE_OBJECTS := $(filter $(addprefix $(BUILD)/obj/agent/,base/% proxy/balance% proxy/outlier% proxy/breaker% proxy/circuit% proxy/limiter%),$(OBJECTS))
SPAN_OBJECTS := $(filter $(addprefix $(BUILD)/obj/plugins/,span_text% span_queue% zipkin_json% otlp_json%),$(OBJECTS))
$(BUILD)/bench/spans: $(SPAN_OBJECTS)
$(BUILD)/bench/simulate: tests/bench/simulate_plot.c tests/bench/simulate.h tests/bench/hist.h
$(BUILD)/bench/%: tests/bench/%.c $(BALANCE_OBJECTS) $(BUILD)/flags | $(DEPS)/build
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(CPPFLAGS_ALL) $(CPPFLAGS) $(CFLAGS_ALL) $(WARN) $(CFLAGS) $(LDFLAGS_ALL) $(filter %.c,$^) \
		$(filter $(BUILD)/obj/plugins/%,$^) $(BALANCE_OBJECTS) -lm -o $@

.PHONY: docs
docs: $(BIN) ## writes docs/options.md, reasons.md and metrics.md from the tables in the program
	@mkdir -p docs
	@for page in options reasons metrics; do \
		$(BIN) help $$page --markdown >$(BUILD)/$$page.md && cp $(BUILD)/$$page.md docs/$$page.md || exit 1; \
		echo "  docs/$$page.md"; \
	done

.PHONY: format
format: | $(DEPS)/lint ## lays out all C files with clang-format
	@clang-format -i $(C_FILES)

.PHONY: lint
lint: | $(DEPS)/build $(DEPS)/check $(DEPS)/lint ## gcc and clang with all warnings, clang-tidy, shellcheck, Python syntax
	@$(TIERS) "lint=AGENT_PACKAGES='$(AGENT_PACKAGES)' .ci/lint.sh"

# The linker's words on getaddrinfo are of libcrypto's and libevent's code that the agent never calls: names are c-ares's.
.PHONY: static
static: SHELL := /bin/bash
static: | $(DEPS)/build ## the same program as one static file, build/static/outrider: what the image holds
	@$(NPM)
	@set -o pipefail; $(MAKE) --no-print-directory BUILD=build/static STATIC=1 build/static/outrider 2>&1 | \
		{ grep -v 'in statically linked applications requires\|: in function .*:$$' || true; }
	@build/static/outrider version

# Its libraries are other builds than Debian's shared ones: what talks to peers with them is tested again.
STATIC_TESTS := cli.,config_spring.,config_consul.,config_redis.,config_bus.,registry_consul.,registry_eureka.,registry_redis.,exporters.
.PHONY: static-check
static-check: static | $(DEPS)/check ## the run tests of that static file that use its libraries
	@$(TIERS) $(call run_tier,build/static,-k $(STATIC_TESTS))

# The last stage of Dockerfile.agent, with what its first stage would have made: needs an engine, but no registry.
DOCKER ?= docker
IMAGE ?= outrider:latest
.PHONY: image
image: ## the image of Dockerfile.agent as outrider:latest, of a static program built here (DOCKER, IMAGE)
	@$(MAKE) --no-print-directory static
	@.ci/image.sh build/image "$(DOCKER)" "$(IMAGE)"

# What the program says of itself: flag of `outrider help`, and where it goes below share/.
INSTALL_MADE := --man:man/man1/outrider.1 --completion=bash:bash-completion/completions/outrider \
	--completion=zsh:zsh/site-functions/_outrider --completion=fish:fish/vendor_completions.d/outrider.fish

.PHONY: install
install: $(BIN) ## installs to DESTDIR/PREFIX/bin, with manual, completion for bash, zsh and fish, and the licence
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/outrider
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/outrider/LICENSE
	@mkdir -p $(BUILD)/share
	@for made in $(INSTALL_MADE); do \
		$(BIN) help $${made%%:*} >$(BUILD)/share/made && \
		install -D -m 0644 $(BUILD)/share/made $(DESTDIR)$(PREFIX)/share/$${made#*:} && echo "$(DESTDIR)$(PREFIX)/share/$${made#*:}" || exit 1; \
	done

.PHONY: clean
clean: ## removes build/
	rm -rf build

.PHONY: help
help: ## lists the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | sort | \
		while IFS='|' read -r name what; do printf '%-16s %s\n' "$$name" "$$what"; done
