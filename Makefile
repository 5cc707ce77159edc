# The front door. `make` or `make help` lists what it does; each target prepares its own needs.
PYTHON ?= python3
PORT ?= 0
PY := .venv/bin/python
DOOR := tools/frontdoor.py

.DEFAULT_GOAL := help
.PHONY: help book site test notebooks lint format lock clean env

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: site ## build the book, serve it on localhost and print the address
	@$(PY) $(DOOR) serve --port $(PORT)

site: env ## build the book into _build/html
	@$(PY) $(DOOR) site

test: lint site ## everything that is checked: lint, site, then every test and notebook
	@$(PY) -m coverage run -m pytest --nbval --nbval-current-env tests chapters contributing
	@$(PY) -m coverage report

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
