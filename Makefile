# make demo    try it: a sample app and a development provider, ready to log in
# make test    all tests, with the coverage gate
# make proof   the part of them that plays a hostile world, with a summary; with ARGS=--long, minutes of fuzzing
# make lint    ruff, mypy, pyright
# make build   the wheel and the source distribution, in dist/
# make clean   remove what the others made
#
# Another Python than python3: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip -qq --disable-pip-version-check

.PHONY: demo test proof lint build clean

demo: $(VENV)/.demo
	@$(VENV)/bin/ck-middleware demo $(ARGS)

test: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest --cov --cov-report=term $(ARGS)

proof: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest tests/proof $(ARGS)

lint: $(VENV)/.dev
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --check --quiet || { echo "Run: $(VENV)/bin/ruff format" >&2; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

build: $(VENV)/.dev
	@rm -rf dist
	@$(VENV)/bin/python -m build --outdir dist

clean:
	@rm -rf $(VENV) dist build htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache

# Each stamp is older than pyproject.toml when there is something to install.
$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "Installing what the demo needs into $(VENV) ..."
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) install --upgrade 'pip>=25.1'  # the first that knows --group
	@$(PIP) install --editable '.[demo]' --group dev
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "ck-middleware needs Python 3.11 or newer as $(PYTHON); name another one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@
