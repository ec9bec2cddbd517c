# Every verb a developer needs; `make` alone lists them. Each creates .venv itself, from plain
# `python3 -m venv` and pip with the hashed lock files: nothing but Python 3.11 and make is asked for.

# The first interpreter that is new enough; PYTHON=… overrides.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_VERSION := 0.13.9
WORKERS ?= 2
LOCKS := requirements.lock requirements-stubs.lock

.DEFAULT_GOAL := help
.PHONY: help env demo test lint format flash docs lock clean perf soak-emulated fuzz cuts soak accuracy uf2 \
	coverage mutation

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

env: $(READY) ## create or refresh .venv from the lock files

# pyproject.toml is a reason to reinstall because entry points and package data are read from it.
$(READY): $(LOCKS) pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or make PYTHON=/path/to/python" >&2; exit 2; }
	@echo "preparing .venv with $(PYTHON) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes --requirement requirements.lock
	@rm -rf .venv/stubs && $(PIP) install --require-hashes --no-deps --target .venv/stubs --requirement requirements-stubs.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the main job: an infusion on the simulated board, with a report
	@mkdir -p out/demo
	$(BIN)/doseloop run examples/immunoglobulin.toml --sim --yes --trace out/demo/trace.txt --report out/demo/report.html

test: lint ## lint, then every test that needs no hardware
	$(BIN)/python -m pytest -x -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests

lint: $(READY) ## ruff, pyright on host tools (strict) and firmware (Pico stubs), requirements trace
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --warnings
	$(BIN)/pyright --project pyrightconfig.firmware.json
	PYTHONPATH=tests $(BIN)/python -m requirements.page --check

format: $(READY) ## rewrite the sources in the house format
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

flash: $(READY) ## deploy the firmware: make flash PORT=/dev/ttyACM0 [BOARD=pico_tmc2209]
	$(BIN)/doseloop flash $(if $(PORT),--port $(PORT)) $(if $(BOARD),--board $(BOARD))

uf2: $(READY) ## fetch MicroPython for the emulated board: make uf2 [SHA256=hash you have compared]
	$(BIN)/python -m doseloop.cli.uf2 $(if $(SHA256),--sha256 $(SHA256))

perf: $(READY) ## the performance table on the emulated RP2040, some 20 minutes; needs an image
	PYTHONPATH=tests $(BIN)/python -m emulated.perf --jobs $(WORKERS)

soak-emulated: $(READY) ## what is too long for make test on the emulated RP2040; needs an image
	$(BIN)/python -m pytest -s -m soak tests/emulated/soak_deploy.py tests/emulated/soak_sides.py tests/emulated/soak_line.py tests/emulated/soak_heap.py

coverage: $(READY) ## branch coverage of the dose core by its worked cases, line by line
	PYTHONPATH=tests $(BIN)/python -m mutation.covered

mutation: $(READY) ## would the tests of the dose core notice a wrong line? [MODULES="limiter pca"]
	@$(PIP) install --require-hashes --requirement requirements-mutation.lock
	PYTHONPATH=tests nice $(BIN)/python -m mutation --jobs $(WORKERS) $(MODULES)

fuzz: $(READY) ## bytes from a stranger, led by what they reach: some 15 minutes [RUNS=10000000 TARGETS="line order"]
	@$(PIP) install --require-hashes --requirement requirements-fuzz.lock
	PYTHONPATH=tests nice $(BIN)/python -m fuzz $(if $(RUNS),--runs $(RUNS)) $(TARGETS)

cuts: $(READY) ## cut the power wherever the pump stores something, some two minutes [SCENARIOS="run doses"]
	PYTHONPATH=tests $(BIN)/python -m powercut --jobs $(WORKERS) $(SCENARIOS)

docs: $(READY) ## write the generated pages anew: wiring.md, reference.md, alarms.md, modes.md, performance.md, requirements.md, safety.md
	$(BIN)/python -m doseloop.wiring
	$(BIN)/python -m doseloop.reference
	$(BIN)/python -m doseloop.explain
	$(BIN)/python -m doseloop.modes
	PYTHONPATH=tests $(BIN)/python -m emulated.perf.page
	PYTHONPATH=tests $(BIN)/python -m requirements.page
	PYTHONPATH=tests $(BIN)/python -m mutation.page

lock: ## resolve the dependencies anew into the hashed lock files
	@test -x out/uv/bin/uv || { $(PYTHON) -m venv out/uv && out/uv/bin/python -m pip --quiet install uv==$(UV_VERSION); }
	out/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --extra dev pyproject.toml --output-file requirements.lock
	out/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-deps \
		--custom-compile-command "make lock" --group pyproject.toml:stubs --output-file requirements-stubs.lock
	out/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --constraint requirements.lock --group pyproject.toml:mutation --output-file requirements-mutation.lock
	out/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --constraint requirements.lock --extra fuzz pyproject.toml --output-file requirements-fuzz.lock

clean: ## remove what the verbs made: .venv, out, caches
	rm -rf .venv out dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Promised verbs whose work has not been done: saying so beats a make error.
soak accuracy:
	@echo "make $@ is not built yet: see CHANGELOG.md" >&2; exit 2
