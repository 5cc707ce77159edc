# The front door. `make` or `make help` lists what it does; each target prepares its own needs.
PYTHON ?= python3
PORT ?= 0
SALT ?= public
COURSE ?= course
PY := .venv/bin/python
DOOR := tools/frontdoor.py

.DEFAULT_GOAL := help
.PHONY: help book site test assignments notebooks lint format lock bench ends clean env

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: site ## build the book, serve it on localhost and print the address
	@$(PY) $(DOOR) serve --port $(PORT)

site: env ## build the book into _build/html
	@$(PY) $(DOOR) site

test: lint site ## everything that is checked: lint, site, tests, notebooks
	@$(PY) -m coverage run -m pytest --nbval --nbval-current-env \
	  tests chapters contributing playground.ipynb
	@$(PY) -m coverage report

assignments: env ## build the students' notebooks and zips into course/ (SALT=... for your own numbers)
	@$(PY) -m grading build --course "$(COURSE)" --salt "$(SALT)"

notebooks: env ## run every notebook again and write it in canonical form
	@$(PY) -m tools.notebooks run

lint: env ## style of the code and form of the notebooks
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m tools.notebooks check

format: env ## let ruff rewrite the code in the common style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock: ## write constraints.txt anew from requirements.txt
	@$(call door,lock)

bench: env ## measure speed against references, write _build/benchmarks.json
	@$(PY) -m benchmarks

ends: ## test optimlib with the oldest and the newest packages it says it supports
	@$(PYTHON) tools/ends.py

clean: ## remove the built site and the environment
	rm -rf _build .venv

env:
	@$(call door,env)

# Before .venv exists only the user's own Python can run the helper, if it is there and new enough.
define door
	command -v $(PYTHON) >/dev/null || { \
	  echo "make: $(PYTHON) was not found. Install Python 3.11 or newer (Debian, Ubuntu:" \
	  "sudo apt install python3 python3-venv), or name one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) --version 2>&1) is too old: the book needs Python 3.11 or newer." \
	  "Install one (Debian, Ubuntu: sudo apt install python3.11 python3.11-venv) and name it:" \
	  "make PYTHON=python3.11 ..." >&2; exit 1; }; \
	$(PYTHON) $(DOOR) $(1)
endef
