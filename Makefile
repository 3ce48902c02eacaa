# make demo    try it: a sample app and a development provider, ready to log in
# make test    all tests, with the coverage gate
# make proof   the part of them that plays a hostile world, with a summary; with ARGS=--long, minutes of fuzzing
# make lint    ruff, mypy, pyright
# make audit   ruff's security rules, our table of published vulnerabilities, and the advisory service if it can be asked
# make matrix  the tests on every Python that is here, with the newest and the lowest versions allowed (half an hour);
#              with ARGS=--quick, the core of them (minutes)
# make mutants plant faults in the files that decide, and see whether a test notices each (minutes; no part of CI)
# make docs    the documentation as a site, in build/docs; a link that leads nowhere is an error
# make bench   measure it beside others, and write what came of it into docs/performance.md (half an hour; no part of CI)
# make build   the wheel and the source distribution, in dist/
# make sbom    what is installed with them, as CycloneDX, beside them
# make release-check
#              both, and whether they are what a release has to be, of the commit that is checked out
# make clean   remove what the others made
#
# Another Python than python3: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip -qq --disable-pip-version-check

# Many tests wait for real servers, and others run meanwhile. One after another: make test WORKERS=0
WORKERS ?= 2
IN_PARALLEL = -n $(WORKERS) --dist worksteal
# The time of the commit in place of today's: whoever builds it again gets the same bytes.
DATED = $(addprefix SOURCE_DATE_EPOCH=,$(shell git log -1 --format=%ct 2>/dev/null))
EXTRAS = import tomllib; \
  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"], sep=",")
AUDIT = $(VENV)/bin/pip-audit --no-deps --disable-pip --progress-spinner off --timeout 10

.PHONY: demo test in-parallel proof lint audit matrix mutants docs bench build sbom release-check clean

demo: $(VENV)/.demo
	@$(VENV)/bin/ck-middleware demo $(ARGS)

test: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest $(IN_PARALLEL) --cov --cov-report=term $(ARGS)

in-parallel: # how the tests run, for whoever runs them elsewhere
	@printf '%s\n' '$(IN_PARALLEL)'

proof: $(VENV)/.dev
	@$(VENV)/bin/python -m pytest $(IN_PARALLEL) tests/proof $(ARGS)

lint: $(VENV)/.dev
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --check --quiet || { echo "Run: $(VENV)/bin/ruff format" >&2; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# A vulnerability that the service knows of fails this. That it cannot be asked does not, nor that it knows a package not.
audit: $(VENV)/.dev
	@$(VENV)/bin/ruff check --quiet --select S src examples
	@$(VENV)/bin/python -m pytest -q tests/test_dependencies.py
	@$(VENV)/bin/python tests/support/closure.py > $(VENV)/closure.txt
	@report=$$($(AUDIT) --requirement $(VENV)/closure.txt 2> $(VENV)/audit.log) && found=no || found=$${report:+yes}; \
	case "$$found" in \
	  yes) echo "$$report"; exit 1;; \
	  no) echo "$${report:-The advisory service knows of nothing.}";; \
	  *) echo "The advisory service could not be asked: the table alone has been looked at.";; \
	esac

matrix: $(VENV)/.dev
	@$(VENV)/bin/python tests/matrix.py $(ARGS) -- $(IN_PARALLEL)

mutants: $(VENV)/.dev
	@$(PIP) install --group mutants
	@$(VENV)/bin/mutmut run --max-children 1
	@$(VENV)/bin/mutmut results

docs: $(VENV)/.dev
	@$(PIP) install --group docs
	@$(VENV)/bin/python -m sphinx -q -E -W -n --keep-going -d build/doctrees -c docs . build/docs
	@echo "The site is in build/docs/index.html."

bench: $(VENV)/.dev
	@$(PIP) install --group bench
	@$(VENV)/bin/python benchmarks/report.py $(ARGS)

build: $(VENV)/.release
	@rm -rf dist
	@$(DATED) $(VENV)/bin/python -m build --outdir dist

sbom: build
	@rm -rf $(VENV)/alone
	@$(VENV)/bin/python -m venv --without-pip $(VENV)/alone
	@$(PIP) --python $(VENV)/alone/bin/python install "$$(echo dist/*.whl)[$$($(VENV)/bin/python -c '$(EXTRAS)')]"
	@$(DATED) $(VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
	  --output-file "$$(echo dist/*.whl | sed 's/-py3-none-any.whl/.cdx.json/')" $(VENV)/alone/bin/python

release-check: sbom
	@$(VENV)/bin/twine check --strict dist/*.whl dist/*.tar.gz
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(VENV)/bin/zizmor --offline --quiet --strict-collection --pedantic .github
	@$(VENV)/bin/python -m pytest release $(ARGS)

clean:
	@rm -rf $(VENV) dist build mutants htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache

# Each stamp is older than pyproject.toml when there is something to install.
$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "Installing what the demo needs into $(VENV) ..."
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) install --upgrade 'pip>=25.1'  # the first that knows --group
	@$(PIP) install --editable '.[cli,demo,metrics,otel]' --group dev --group apps
	@touch $@

$(VENV)/.release: $(VENV)/.dev
	@$(PIP) install --group release
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "ck-middleware needs Python 3.11 or newer as $(PYTHON); name another one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@
