# Every recipe works on a fresh clone: Python 3.11+, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1
# where somebody has set it, every process compiles everything anew
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help
.PHONY: help demo dev test check format soak bench docs lock clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.run: requirements/run.txt pyproject.toml
	@.ci/venv $(PYTHON) $(VENV) requirements/run.txt && touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@.ci/venv $(PYTHON) $(VENV) requirements/dev.txt && touch $(VENV)/.run $@

demo: $(VENV)/.run ## start everything, send one message of each type, show what became of it (ARGS=--once to stop then)
	@$(BIN)/waypost demo $(ARGS)

dev: $(VENV)/.dev ## gateway and simulator on this terminal, nothing sent
	@$(BIN)/waypost demo --quiet

test: $(VENV)/.dev ## install what the tests need and run all of them
	@$(BIN)/pytest -n 3 --dist worksteal -q $(ARGS)

check: $(VENV)/.dev ## format, lint, types, and all that it is deployed with
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/python -m tests.deploy.check

format: $(VENV)/.dev ## put the layout right
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

soak: $(VENV)/.dev ## long fault and property runs (QUICK=1: at most 10 minutes)
	@QUICK=$(QUICK) $(BIN)/python -m tests.soak

bench: $(VENV)/.dev ## messages/s beside a no-op and a proxy on the same server, as ratios
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.dev ## write the generated pages anew
	@$(BIN)/python -m tests.docs.generate

lock: $(VENV)/.dev ## resolve the dependencies anew
	@.ci/lock

clean: ## remove the environment and what tools left behind
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
