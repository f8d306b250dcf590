# Everything that a person or CI does with this repository. `make` lists the targets.
# The environment is built once, and again when pyproject.toml or requirements.lock change.

PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check

# To bytecode on all cores, where pip would use one; some packages hold templates that are no Python.
COMPILE = $(PYTHON) -m compileall -q -j 0 $(VENV)/lib > /dev/null 2>&1

DEV_STAMP := $(VENV)/.installed-dev
DEMO_STAMP := $(VENV)/.installed-demo

# What `make demo` writes (started afresh each time) and where it serves.
DEMO ?= demo
PORT ?= 8000

# Options for the benchmarks that are commands: make bench-predictor ... BENCH_ARGS='--device cuda'
BENCH_ARGS ?=

# Options for pytest, for instance: make test PYTEST_ARGS='tests/model -x'
PYTEST_ARGS ?=
# The files of the tests are shared out among so many processes: a number, or one for each core.
TEST_PROCESSES ?= auto

.DEFAULT_GOAL := help
.PHONY: help install install-demo demo test check bench bench-ode bench-serve bench-predictor bench-fuzz bench-job-memory container fix wheels lock clean
.NOTPARALLEL:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(DEV_STAMP)  ## the whole environment, in .venv (Python 3.11 or later: PYTHON3=...)

install-demo: $(DEMO_STAMP)  ## the smaller environment that `make demo` needs

# requirements.lock as a constraints file: exact versions for whatever is asked for.
$(DEV_STAMP): pyproject.toml requirements.lock
	$(PYTHON3) -m venv $(VENV)
	$(PIP_INSTALL) --no-compile --constraint requirements.lock --editable '.[dev]'
	$(COMPILE) || true
	touch $(DEMO_STAMP) $(DEV_STAMP)

$(DEMO_STAMP): pyproject.toml requirements.lock
	$(PYTHON3) -m venv $(VENV)
	$(PIP_INSTALL) --constraint requirements.lock --editable '.[training]'
	touch $(DEMO_STAMP)

demo: install-demo  ## simulate, train, serve on 127.0.0.1:8000, ask once (EXIT=1 stops after the answer)
	rm -rf $(DEMO)
	$(PYTHON) -m training simulate --subjects 400 --out $(DEMO)/cohort
	$(PYTHON) -m training fit $(DEMO)/cohort --out $(DEMO)/artifact --preset quick
	$(PYTHON) -m service demo --artifact $(DEMO)/artifact --request $(DEMO)/cohort/example_request.json \
		--port $(PORT) $(if $(EXIT),--exit)

test: check  ## everything that CI runs: `make check`, then the tests (PYTEST_ARGS=...)
	$(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

check: install  ## format, lint, types, import contracts, spelling, Dockerfile
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/hadolint Dockerfile

bench: install  ## the benchmarks, beside their peers
	$(PYTHON) -m pytest -m benchmark $(PYTEST_ARGS)

bench-ode: install  ## the solver beside torchdiffeq, torchode, diffrax and scipy (BENCH_ARGS=--quick)
	$(PYTHON) -m model.ode.kernel || true
	$(PYTHON) -m tests.benchmarks.ode $(BENCH_ARGS)

bench-serve: install  ## the server under load beside LitServe and a naive one (ARTIFACT=dir DATA=meds)
	$(PYTHON) -m tests.benchmarks.serve --artifact $(ARTIFACT) --data $(DATA) $(BENCH_ARGS)

bench-predictor: install  ## the predictor alone, beside what its arithmetic must cost (ARTIFACT=dir DATA=meds)
	$(PYTHON) -m tests.benchmarks.predictor --artifact $(ARTIFACT) --data $(DATA) $(BENCH_ARGS)

bench-fuzz: install  ## 20,000 bodies from the OpenAPI document, every answer checked (ARTIFACT=dir)
	$(PYTHON) -m tests.benchmarks.fuzz --artifact $(ARTIFACT) $(BENCH_ARGS)

bench-job-memory: install  ## memory of jobs of 8,000 to 800,000 stays (ARTIFACT=dir DATA=meds)
	$(PYTHON) -m tests.benchmarks.job_memory --artifact $(ARTIFACT) --data $(DATA) $(BENCH_ARGS)

container: install  ## build the image and ask a server in it (needs root, buildah, mmdebstrap)
	$(PYTHON) -m pytest -m container tests/test_container.py $(PYTEST_ARGS)

fix: install  ## let the tools repair format and lint
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

wheels: $(DEMO_STAMP)  ## fill docker/wheels, so that the image can be built without a network
	$(PYTHON) -m pip download --quiet --disable-pip-version-check --dest docker/wheels \
		--constraint requirements.lock . hatchling

# Resolved without the old lock, in an environment of its own. A local suffix (torch's "+cpu") is
# cut off, so that the same line fits every machine.
lock:  ## write requirements.lock afresh, with the newest versions that pyproject.toml allows
	rm -rf build/lock
	$(PYTHON3) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	build/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip > build/lock/freeze.txt
	sed -n '/^#/p' requirements.lock > build/lock/requirements.lock
	sed -e '/^#/d' -e 's/+[a-z0-9.]*$$//' build/lock/freeze.txt >> build/lock/requirements.lock
	mv build/lock/requirements.lock requirements.lock
	rm -rf build/lock

clean:  ## remove caches, build outputs and the demo (.venv and docker/wheels stay)
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find model service training tests docker -name __pycache__ -type d -exec rm -rf {} +
