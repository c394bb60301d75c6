# Every target sets up what it needs by itself and does nothing twice: what was done is remembered in .make/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# The newest patch of a Python, from the PATH or from pyenv: $(call python,3.13)
python = $(firstword $(foreach candidate,python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python),$(shell $(candidate) -c 'import sys; print(sys.executable)' 2>/dev/null)))
PYTHON ?= $(or $(call python,3.11),$(call python,3.12),$(call python,3.13),python3)
PYTHON313 ?= $(call python,3.13)
# GNU Mailman 3.3 needs nntplib, which left Python with 3.13.
PYTHON_MAILMAN ?= $(or $(call python,3.11),$(call python,3.12))

VENV := .venv/bin
VENV313 := .venv-313/bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

ELEMENT := wagtail_prefs/static/wagtail_prefs/dist
FRONTEND_SOURCES := $(wildcard frontend/*.json frontend/*.ts) $(shell find frontend/src frontend/scripts -type f 2>/dev/null)
TRANSLATIONS := $(patsubst %.po,%.mo,$(wildcard wagtail_prefs/locale/*/LC_MESSAGES/*.po))

.PHONY: help
help: ## Say what there is
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 16

# Setting up

.PHONY: install
install: system python element translations .make/mailman ## Prepare a bare machine (Python >= 3.11, Node >= 20, apt)

.PHONY: python element translations
python: .make/editable
element: .make/element
translations: $(TRANSLATIONS)

# Debian's packages, asked for only where their programs are absent.
.PHONY: system
system:
	@missing=()
	have() { command -v "$$1" >/dev/null; }
	have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
	have firefox-esr || have firefox || missing+=(firefox-esr)
	have WebKitWebDriver || missing+=(webkit2gtk-driver)
	have Xvfb || missing+=(xvfb)
	have msgfmt || missing+=(gettext)
	have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
	have redis-server || missing+=(redis-server)
	"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
	[ $${#missing[@]} -gt 0 ] || exit 0
	as_root=()
	if [ "$$(id -u)" -ne 0 ]; then as_root=(sudo); fi
	if ! have apt-get || { [ "$$(id -u)" -ne 0 ] && ! have sudo; }; then
		echo "Please install: $${missing[*]}" >&2
		exit 1
	fi
	apt=("$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
	"$${apt[@]}" update
	"$${apt[@]}" install -y --no-install-recommends "$${missing[@]}" >/dev/null

.make:
	@mkdir -p .make

.make/venv: requirements/dev.txt | .make
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || $(MAKE) system
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wagtail-prefs needs Python 3.11 or newer: make PYTHON=...")'
	[ -x $(VENV)/python ] || "$(PYTHON)" -m venv .venv
	$(VENV)/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	touch $@

.make/editable: pyproject.toml hatch_build.py .make/venv
	@$(VENV)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.make/venv-313: requirements/test.txt pyproject.toml | .make
	@if [ -z "$(PYTHON313)" ]; then
		echo "The suite py313 needs Python 3.13: install it, or name it with make PYTHON313=/path/to/python3.13" >&2
		[ -z "$${CI:-}" ]; exit
	fi
	[ -x $(VENV313)/python ] || "$(PYTHON313)" -m venv .venv-313
	$(VENV313)/python $(PIP_INSTALL) --require-hashes -r requirements/test.txt
	$(VENV313)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.make/mailman: requirements/mailman.txt | .make
	@if [ -z "$(PYTHON_MAILMAN)" ]; then
		echo "tests/mailman needs Python 3.11 or 3.12: install one, or name it with make PYTHON_MAILMAN=/path/to/python3.11" >&2
		[ -z "$${CI:-}" ]; exit
	fi
	[ -x .venv-mailman/bin/python ] || "$(PYTHON_MAILMAN)" -m venv .venv-mailman
	.venv-mailman/bin/python $(PIP_INSTALL) --require-hashes -r requirements/mailman.txt
	touch $@

.make/node: frontend/package-lock.json | .make
	@major=$$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/') || true
	if [ "$${major:-0}" -lt 20 ]; then
		echo "Building the element needs Node 20 or newer, with npm." >&2
		exit 1
	fi
	npm --prefix frontend ci --no-audit --no-fund --loglevel=error
	touch $@

.make/element: .make/node $(FRONTEND_SOURCES)
	@npm --prefix frontend run --silent build
	touch $@

%.mo: %.po
	@command -v msgfmt >/dev/null || $(MAKE) system
	msgfmt --check --output-file=$@ $<

# Running

.PHONY: demo
demo: python element translations ## Serve the demo: a Wagtail site, a customer's site, a small CRM (PORT=8000; CRM=mailchimp adds a platform)
	@exec $(VENV)/python -m example_site.run

# Checking

.PHONY: check
check: python translations ## The fast loop: lint, types and the tests that need no browser
	@$(VENV)/ruff check
	$(VENV)/ruff format --check --quiet
	$(VENV)/lint-imports --no-logo | tail -n 4
	$(VENV)/mypy
	$(VENV)/pytest -q -n 2 --dist worksteal -m "not slow"
	if [ -x frontend/node_modules/.bin/vitest ]; then cd frontend && npm exec -- vitest run --project unit; fi

.PHONY: lint
lint: python .make/node ## Every static check
	@export DJANGO_SETTINGS_MODULE=tests.settings
	failed=()
	run() { echo "--- $$*"; "$$@" || failed+=("$$*"); }
	run $(VENV)/ruff check
	run $(VENV)/ruff format --check
	run $(VENV)/mypy
	run $(VENV)/lint-imports --no-logo
	run $(VENV)/codespell
	run $(VENV)/deptry wagtail_prefs
	run $(VENV)/djlint --lint --quiet wagtail_prefs
	run $(VENV)/python -m django makemigrations --check --dry-run
	run $(VENV)/pytest -q -p no:randomly tests/test_repository.py
	run npm --prefix frontend run --silent check
	if [ $${#failed[@]} -gt 0 ]; then printf 'Failed: %s\n' "$${failed[@]}" >&2; exit 1; fi

.PHONY: format
format: python .make/node ## Let the tools put right what they can
	@$(VENV)/ruff check --fix
	$(VENV)/ruff format
	npm --prefix frontend run --silent fix

# Testing. tests/run.py knows the suites, their times and the sum.

RUN := $(VENV)/python -m tests.run
READY := install

.PHONY: test test-sqlite test-postgres test-py313 test-frontend test-once
test: $(READY) .make/venv-313 ## Every test: SQLite, PostgreSQL, a second Python, the element, the package
	@$(RUN)
test-sqlite: $(READY) ## The whole suite on SQLite
	@$(RUN) sqlite
test-postgres: $(READY) ## The whole suite on PostgreSQL
	@$(RUN) postgres
test-py313: $(READY) .make/venv-313 ## On Python 3.13 and Django 6.1, without servers and browsers
	@$(RUN) py313
test-frontend: .make/node python ## The element's own tests
	@$(RUN) frontend
test-once: $(READY) ## The built package, the documentation, the bench: independent of the database
	@$(RUN) once

.PHONY: soak
soak: install ## The long fault and timing runs, on both databases
	@$(VENV)/pytest -m soak -p no:randomly
	$(VENV)/pytest tests/engines tests/faults -p no:randomly
	$(VENV)/python -m tests.postgres -- $(VENV)/pytest -m soak -p no:randomly

.PHONY: bench bench-check
bench: install ## Print the ratios of the goals
	@$(VENV)/python -m tests.bench
bench-check: install ## Fail beyond a goal + 25 %
	@$(VENV)/python -m tests.bench --check

.PHONY: screenshots
screenshots: install ## Draw the pictures of the documentation
	@$(VENV)/pytest -m screenshots -p no:randomly

# Keeping

.PHONY: messages
messages: python ## Collect the translatable strings, also those of blocks/
	@cd wagtail_prefs
	DJANGO_SETTINGS_MODULE=tests.settings ../$(VENV)/python -P -m django makemessages --all --symlinks --no-obsolete --add-location=file
	cd ..
	$(MAKE) translations

UV_COMPILE := $(VENV)/uv pip compile --quiet --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
UV_LOCK := $(UV_COMPILE) pyproject.toml --universal --extra postgres

.PHONY: requirements
requirements: python ## Write the hashed requirements anew from pyproject.toml; UPGRADE=1 for newer releases
	@$(UV_LOCK) $(if $(UPGRADE),--upgrade) --group dev --output-file requirements/dev.txt
	$(UV_LOCK) --group test --constraint requirements/dev.txt --output-file requirements/test.txt
	$(UV_COMPILE) requirements/mailman.in $(if $(UPGRADE),--upgrade) --output-file requirements/mailman.txt

.PHONY: clean
clean: ## Forget what was set up and built
	rm -rf .make .venv .venv-313 .venv-mailman frontend/node_modules $(ELEMENT) $(TRANSLATIONS) dist
