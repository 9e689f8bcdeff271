# mstr-loader: `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first interpreter that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
DATA := data
LINEITEM := $(DATA)/tpch/sf1/lineitem.parquet

# One more than there are cores: many tests wait for processes.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

# Journals of loads that are started from here stay here.
export MSTR_LOADER_STATE ?= $(CURDIR)/$(DATA)/state

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/.installed: pyproject.toml setup.py $(wildcard loader/encode/cpp/*)
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed (PYTHON=… names one)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The vendor's client lives apart: its pandas and requests are no dependencies of ours.
.venv-vendor/.installed: Makefile
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed (PYTHON=… names one)" >&2; exit 2; }
	$(PYTHON) -m venv .venv-vendor
	.venv-vendor/bin/pip install --quiet --disable-pip-version-check 'mstrio-py>=11.5,<12' 'pyarrow>=20,<27'
	@touch $@

.PHONY: install
install: .venv/.installed ## Set up the virtual environment

.PHONY: vendor
vendor: .venv-vendor/.installed ## Set up the vendor's client, for tests and benchmarks

$(DATA)/tpch/sf%/lineitem.parquet: | .venv/.installed
	@mkdir -p $(@D)
	$(BIN)/tpchgen-cli parquet --scale-factor $* --tables lineitem --output-dir $(@D)

$(DATA)/tpch/sf%/lineitem.csv: | .venv/.installed
	@mkdir -p $(@D)
	$(BIN)/tpchgen-cli csv --scale-factor $* --tables lineitem --output-dir $(@D)

$(DATA)/wide.parquet: | .venv/.installed
	@mkdir -p $(@D)
	$(BIN)/python benchmarks/wide_row_group.py $@

.PHONY: demo
demo: .venv/.installed $(LINEITEM) ## Load TPC-H lineitem into a local server and compare every value
	@$(BIN)/python benchmarks/demo.py $(LINEITEM) --data $(DATA)/demo

.PHONY: test
test: lint unit ## Lint, types, layer rules and all tests

.PHONY: lint
lint: .venv/.installed ## Lint, types and layer rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .import_linter_cache

.PHONY: unit
unit: .venv/.installed .venv-vendor/.installed ## All tests
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: soak
soak: .venv/.installed ## Let SEEDS=200 random loads, from seed FIRST=1, fail in every way and compare every row
	$(BIN)/python -m tests.soak --seeds $(or $(SEEDS),200) --first $(or $(FIRST),1) --json $(DATA)/soak.json

SANITIZED := build/sanitized
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1
# Python itself leaks at its end, and Arrow's own pools would hide who reads beyond a buffer.
SANITIZER_RUN = env LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 ARROW_DEFAULT_MEMORY_POOL=system

# A copy of the package whose compiled encoder checks every access.
$(SANITIZED)/.built: .venv/.installed setup.py $(wildcard loader/encode/cpp/*) $(wildcard loader/encode/*.py) $(wildcard tests/encode/*.py)
	@mkdir -p $(SANITIZED)
	@rm -rf $(SANITIZED)/loader $(SANITIZED)/tests
	@cp -R loader tests docs pyproject.toml README.md setup.py $(SANITIZED)
	@rm -f $(SANITIZED)/loader/encode/_native*.so
	cd $(SANITIZED) && CFLAGS="$(SANITIZE)" LDFLAGS="$(SANITIZE)" \
		$(CURDIR)/$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	@ls $(SANITIZED)/loader/encode/_native*.so >/dev/null
	@touch $@

.PHONY: sanitize
sanitize: $(SANITIZED)/.built ## The encoder's tests under the address and undefined-behaviour sanitizers
	cd $(SANITIZED) && $(SANITIZER_RUN) $(CURDIR)/$(BIN)/python -m pytest --numprocesses auto --timeout 900 \
		--hypothesis-profile sanitized tests/encode

FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: $(SANITIZED)/.built ## Random tables through both encoders under the sanitizers, FUZZ_SECONDS long
	cd $(SANITIZED) && $(SANITIZER_RUN) $(CURDIR)/$(BIN)/python -m tests.encode.fuzz --seconds $(FUZZ_SECONDS)

.PHONY: foreign
foreign: .venv/.installed ## Load the files of other writers below FOREIGN=DIR and compare every value
	$(BIN)/python -m tests.foreign.run $(FOREIGN)

.PHONY: format
format: .venv/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench-data
bench-data: $(LINEITEM) $(LINEITEM:.parquet=.csv) $(DATA)/tpch/sf10/lineitem.parquet $(DATA)/wide.parquet ## Make the files of the benchmarks (4 GB)

.PHONY: bench
bench: .venv/.installed .venv-vendor/.installed bench-data ## Measure against the vendor's client and the machine's limits; ONLY=pushes,tls ROUNDS=3
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: capacity
capacity: .venv/.installed $(LINEITEM) ## Check the formula of docs/capacity.md against real loads, and write its table
	$(BIN)/python -m benchmarks.capacity --write $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: recommendation
recommendation: .venv/.installed $(LINEITEM) ## Check what bench recommends against a finer grid (10 minutes)
	$(BIN)/python -m benchmarks.recommendation --write $(if $(ROWS),--rows $(ROWS)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: clean
clean: ## Remove generated data and environments
	rm -rf .venv .venv-vendor build loader/encode/_native*.so $(DATA) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
