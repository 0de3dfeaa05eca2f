# Everything a clone needs: `make` lists it. PYTHON chooses the interpreter: `make test PYTHON=python3.13`.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
FLOOR  := .venv-floor
FLOOR_STAMP := $(FLOOR)/.installed

# Processes that run tests: most of what they do is waiting, for servers and for each other.
TESTERS ?= 4

PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
ALL_INPUTS = pyproject.toml --extra metrics --extra sqlalchemy --extra postgres

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-crash test test-floor coverage check format faults docs bench audit requirements clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv: pinned, hashed requirements, and this checkout in it

demo: $(STAMP) ## the documentation's app, its webhook arriving in the test inbox, links to try
	@$(BIN)/python examples/subscriptions/demo.py

demo-crash: $(STAMP) ## under 40 seconds: a rollback sends nothing; kill -9 with 1,000 waiting loses nothing
	@$(BIN)/python examples/subscriptions/demo_crash.py

test: $(STAMP) test-floor ## every test but the slow fault runs
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

test-floor: $(FLOOR_STAMP) ## the declarations' tests against the oldest supported FastAPI
	$(FLOOR)/bin/python -m pytest -m declarations $$(grep -rl --include='test_*.py' 'pytest.mark.declarations' tests)

coverage: $(STAMP) ## the tests with branch coverage, and the number of lines excused from it
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report
	@echo "lines excused: $$(grep -rn 'pragma: no cover' src | wc -l)"

check: $(STAMP) ## lint, format, types (mypy strict, pyright), floors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## sort imports, format, mend what can be mended
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

faults: $(STAMP) ## kill -9, floods, cut connections: minutes, not seconds
	$(BIN)/python -m pytest -m faults

docs: $(STAMP) ## write the generated parts of docs/reference anew
	$(BIN)/python -m tests.docs.reference

bench: $(STAMP) ## the workloads of benchmarks/, with their limits in the same run
	$(BIN)/python -m benchmarks

audit: $(STAMP) ## known vulnerabilities in the pinned requirements
	$(BIN)/pip-audit --requirement requirements/dev.txt --require-hashes --disable-pip

requirements: $(STAMP) ## pin anew what pyproject.toml asks for
	$(COMPILE) --upgrade $(ALL_INPUTS) --group dev --output-file requirements/dev.txt
	$(COMPILE) --upgrade $(ALL_INPUTS) --group build requirements/floor.in --output-file requirements/floor.txt

clean: ## remove what was made, keep what was written
	rm -rf $(VENV) $(FLOOR) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache artefacts htmlcov .coverage .coverage.*

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Anzol needs Python 3.11 or newer; say which: make PYTHON=python3.13")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --require-hashes --requirement requirements/dev.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(FLOOR_STAMP): requirements/floor.txt pyproject.toml
	test -x $(FLOOR)/bin/python || $(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements/floor.txt
	$(FLOOR)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@
