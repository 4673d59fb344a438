# Every target makes the environments that it needs. It needs only python3, and changes nothing outside this folder.
# To use another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
# WORKERS is the number of pytest workers. It can be higher than the number of cores, because most tests mostly wait for
# a socket or a clock.
WORKERS ?= 6

export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
# CLIENTS has the client libraries that the simulated gateway is tested with, each in its own environment.
CLIENTS := .clients
WANTED := tests/clients/requirements
# BACKENDS has environments with the other client library and with other Python versions.
BACKENDS := .backends
# BROWSER has axe-core from npm, for the browser tests. Playwright is installed in .venv.
BROWSER := .browser
# WAYS has the packages that the examples for notebooks, web services and GUIs need.
WAYS := .ways
# NPM has tools that only npm offers: the second type checker, and the library that draws the documentation's diagram.
NPM := .npm

.DEFAULT_GOAL := help
.PHONY: help demo test test-random test-all rest environments thorough clients insync pythons browser ways qt screenshots bench soak lint core-coverage docs clean
.PHONY: network network-long fresh
.PHONY: links package bench-recovery bench-full bench-compare bench-page

help:  ## list these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## run a simulated gateway and a connector through 28 faults (about 50 s)
	$(BIN)/ibkr demo

test: lint core-coverage  ## what every change must pass: lint, types, layers, core coverage, all tests
	$(BIN)/pytest -n $(WORKERS) --ignore=tests/core

test-random: $(VENV)/.developing  ## the tests of 'make test' in random order; SEED=n repeats a printed order
	$(BIN)/pytest -p randomly $(if $(SEED),--randomly-seed=$(SEED)) -n $(WORKERS)

test-all: test rest  ## make test, then all that it leaves out; 'make test test-all' runs nothing twice

# Each prerequisite is a part that 'make test' does not run. If a part needs a program that is missing, it fails.
rest: environments thorough clients insync pythons browser ways qt network
rest: docs package

CLIENTS_MADE := $(patsubst $(WANTED)/%.txt,$(CLIENTS)/%/.made,$(wildcard $(WANTED)/*.txt)) $(CLIENTS)/stoqey/.made

# Make the environments that 'rest' needs, three at a time. A target that runs alone makes its own environment.
environments: $(VENV)/.developing
	$(MAKE) -j3 $(BACKENDS)/nox/.made $(WAYS)/.made $(CLIENTS_MADE) $(BACKENDS)/ib_insync/.made $(NPM)/.made

# Run the property tests with ten times the examples, which differ in each run. Also run the tests that are too long for
# every push.
thorough: $(VENV)/.developing
	$(BIN)/pytest -m "(hypothesis or thorough or rest) and not (live or clients or ibapi or browser or ways or qt or package or network)" \
	  -n $(WORKERS) --dist=worksteal \
	  --hypothesis-profile=thorough --timeout=300

clients: $(VENV)/.developing $(CLIENTS_MADE)  ## every client library with the simulated gateway (needs node and npm)
	$(BIN)/pytest -m clients -n $(WORKERS) --dist=worksteal

insync: $(BACKENDS)/ib_insync/.made  ## the connection's tests with ib_insync as the client library
	TESTED_BACKEND=ib_insync $(<D)/bin/pytest tests/features
	TESTED_BACKEND=ib_insync $(<D)/bin/pytest -n $(WORKERS) --dist=worksteal -m "not (slow or rest or live or ways or qt)" \
	  tests/connector tests/recovery tests/run_modes tests/faults/matrix/test_session.py

rest: export OTHER_THAN = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

pythons: $(BACKENDS)/nox/.made  ## the main tests on every Python of this machine, with both client libraries
	WORKERS=$(WORKERS) $(BIN)/nox --envdir $(BACKENDS)/nox -R

# Most of these tests wait for a network that is cut, so more of them run at the same time.
network: $(VENV)/.developing  ## network cuts, packet loss, NATs and VPNs, in network namespaces (needs root, iproute2, iptables)
	$(BIN)/pytest tests/network -m "network and not long" -n 8 --dist=worksteal

network-long: $(VENV)/.developing  ## the same, and a cut of ten minutes
	$(BIN)/pytest tests/network -m network -n 8 --dist=worksteal

fresh:  ## clone, demo and test in an empty Debian sid, on Python 3.14 and 3.15 (needs root and debootstrap)
	WORKERS=$(WORKERS) tools/fresh.sh

browser: $(BROWSER)/.made  ## the page of ibkr serve in a real Chromium (needs chromium and npm)
	$(BIN)/pytest tests/browser -m browser -n 2 --dist=worksteal

ways: $(WAYS)/.made  ## the examples for notebook, FastAPI, Streamlit and Qt, each through a fault
	$(BIN)/pytest tests/run_modes -m ways -n 2 --dist=worksteal

qt: $(WAYS)/.made  ## the Qt signals and widgets, rendered offscreen (needs libEGL and others: .ci/run lists them)
	$(WAYS)/bin/pytest tests/qt -m qt

screenshots: $(BROWSER)/.made  ## make the pictures of the page, including those in docs/images
	$(BIN)/pytest tests/browser/screenshots.py -m browser

bench-recovery: $(VENV)/.developing  ## recovery times, compared with a hand-written loop and the library's Watchdog (6 min, as root)
	$(BIN)/python -m bench.recovery

bench: $(VENV)/.developing  ## one table: this package and the bare client library (6 min)
	$(BIN)/python -m bench --json docs/performance.json

bench-full: $(VENV)/.developing  ## the same, with three times as many runs
	$(BIN)/python -m bench --runs 30 --json docs/performance.json

bench-compare: $(VENV)/.developing  ## REV=main~5: compare this package with a revision of it
	$(BIN)/python -m bench.compare $(REV)

bench-page: $(VENV)/.developing  ## write docs/performance.md from the figures of the last bench
	$(BIN)/python -m bench.page docs/performance.json > docs/performance.md

soak: $(VENV)/.developing  ## random faults for SOAK_MINUTES (10), SOAK_KILLS (300); SOAK_SEED=n repeats a run
	$(BIN)/python -m soak
	$(BIN)/python -m soak.orders 10000
	$(BIN)/python -m soak crash
	$(BIN)/python -m soak.fleet

lint: $(VENV)/.developing  ## ruff, mypy --strict for three platforms, import layers, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) -j3 types-linux types-win32 types-darwin types-tests
	$(BIN)/lint-imports
	$(BIN)/vulture

types-tests: $(VENV)/.developing
	$(BIN)/mypy --cache-dir .mypy_cache/tests -p bench -p soak -p tests -p tools

types-%: $(VENV)/.developing
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$*

# Measure the branch coverage of the core, only with its own tests.
core-coverage: $(VENV)/.developing
	$(BIN)/pytest tests/core -n 2 --dist=load --cov=ibkr.core --cov-branch --cov-fail-under=100

docs: $(VENV)/.documenting $(NPM)/.made  ## build the documentation in site/, check its links, write docs/codes.md and docs/simulator.md
	$(BIN)/python tools/codes.py > docs/codes.md
	$(BIN)/python tools/simulator.py > docs/simulator.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(call check-links,--offline)

links: docs  ## check external links, too
	$(call check-links)

# Check the links and anchors of the pages in the repository and of the site.
define check-links
	$(LYCHEE) $(1) *.md docs/*.md
	$(LYCHEE) $(1) --root-dir $(CURDIR)/site --index-files index.html 'site/**/*.html'
endef
LYCHEE := $(BIN)/lychee --no-progress --include-fragments --exclude-loopback

# Check what people install, and run it from an environment that has nothing else.
package: $(VENV)/.documenting $(NPM)/.made  ## build, check, install and run sdist and wheel; check its types with mypy and pyright
	rm -rf dist .package
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv .package
	.package/bin/pip install --quiet dist/*.whl
	$(BIN)/pytest tests/package -m package
	.package/bin/ibkr demo reset restart

clean:  ## remove every environment, such as .venv, and every cache
	rm -rf $(VENV) $(CLIENTS) $(BACKENDS) $(BROWSER) $(WAYS) $(NPM) build dist site .package .coverage .coverage.* htmlcov .hypothesis
	rm -rf .fresh .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Make the environment with the first of these Pythons that is new enough.
$(VENV)/.made:
	@for python in "$(PYTHON)" python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV) && touch $@ && exit 0; \
	    echo "'$$python -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	  fi; \
	done; \
	echo "Python 3.11 or newer is needed, and $(PYTHON) is not ($$($(PYTHON) --version 2>&1));" \
	  "name another one: make PYTHON=/path/to/python3.12" >&2; exit 1

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.developing: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# These are the commands of docs/backends.md.
$(BACKENDS)/ib_insync/.made: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --editable '.[insync,test]'
	$(@D)/bin/python -m pip uninstall --quiet --yes eventkit
	$(@D)/bin/python -m pip install --quiet --force-reinstall --no-deps 'aeventkit>=2.1,<3'
	@touch $@

# The other environments use the downloads of the first environment again.
$(BACKENDS)/nox/.made: pyproject.toml noxfile.py | $(VENV)/.developing
	PIP_NO_CACHE_DIR= PIP_CACHE_DIR=$(CURDIR)/$(BACKENDS)/downloads $(BIN)/nox --envdir $(@D) --install-only
	@touch $@

$(VENV)/.documenting: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
	@touch $@ $(VENV)/.developing $(VENV)/.installed

$(CLIENTS)/%/.made: $(WANTED)/%.txt | $(VENV)/.made
	$(BIN)/python -m venv --clear $(CLIENTS)/$*
	$(CLIENTS)/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

# ib-gateway-mcp may need a newer Python than .venv has: use the first suitable Python on the PATH or in pyenv.
$(CLIENTS)/ib-gateway-mcp/.made: $(WANTED)/ib-gateway-mcp.txt
	@for python in "$(PYTHON)" python3.14 python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    "$$python" -m venv --clear $(@D) && exit 0; fi; done; \
	  echo "ib-gateway-mcp needs Python 3.12 or newer: install one, or name it with PYTHON=" >&2; exit 1
	$(@D)/bin/python -m pip install --quiet --requirement $<
	@touch $@

$(CLIENTS)/stoqey/.made: $(WANTED)/package.json
	@for tool in node npm; do command -v $$tool >/dev/null || { \
	  echo "$$tool is missing, which the client library @stoqey/ib needs; on Debian and Ubuntu: apt install nodejs npm" >&2; \
	  exit 1; }; done
	mkdir -p $(@D)
	cp $< $(@D)
	npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --silent
	@touch $@

$(WAYS)/.made: $(VENV)/.developing tests/run_modes/apps/requirements.txt
	$(BIN)/python -m venv --clear $(WAYS)
	$(WAYS)/bin/python -m pip install --quiet --editable '.[qt,test]' --requirement tests/run_modes/apps/requirements.txt
	@touch $@

$(NPM)/.made: tools/package.json
	@for tool in node npm; do command -v $$tool >/dev/null || { \
	  echo "$$tool is missing, which pyright and the documentation need; on Debian and Ubuntu: apt install nodejs npm" >&2; exit 1; }; done
	mkdir -p $(@D)
	cp $< $(@D)
	npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --silent
	@touch $@

$(BROWSER)/.made: $(VENV)/.developing tests/browser/package.json
	@command -v npm >/dev/null || { echo "npm is missing, which axe-core comes by; on Debian and Ubuntu: apt install npm" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	mkdir -p $(@D)
	cp tests/browser/package.json $(@D)
	npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --silent
	@touch $@
