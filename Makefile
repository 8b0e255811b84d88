# Every target sets up .venv from pyproject.toml by itself and reuses it afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One test process per core; every process compiles with its own devices. One that dies ends the run: without it the
# others may wait for good.
WORKERS ?= auto

.PHONY: help setup demo test test-changed test-slow lint format docs notebooks bench clean

help:
	@echo "make demo       a Pareto sweep on mo/minecart: table, figure, and a page to explore the front in runs/demo"
	@echo "make test       the test suite, the first notebook included"
	@echo "make test-changed  the tests that import what differs from main (BASE=commit: from there)"
	@echo "make test-slow  the longer tests and the other notebooks"
	@echo "make lint       ruff check and format"
	@echo "make docs       the documentation in build/docs/index.html; numbers and catalogue written anew"
	@echo "make notebooks  run the notebooks in place"
	@echo "make bench      jaxrl beside rejax and Stable-Baselines3, in environments of their own"
	@echo "make clean      remove .venv and runs/demo"
	@echo "PYTHON=python3.12 make ... chooses the interpreter (3.11 to 3.13) of a new .venv"

setup: $(VENV)/installed

$(VENV)/installed: $(VENV)/base
	@echo "installing what tests and docs need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/base: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# What a newcomer tries first waits for nothing that tests alone need.
demo: $(VENV)/base
	@rm -rf runs/demo
	$(BIN)/jaxrl pareto ppo mo/minecart --num-weights 16 --seeds 2 --total-steps 400000 --num-envs 16 \
		--num-steps 64 --learning-rate 1e-3 --discount 0.98 --evaluation-episodes 4 --progress True --out runs/demo
	$(BIN)/jaxrl report runs/demo
	@echo "runs/demo/report.html opens in a browser: the front, its policies and their episodes"

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-changed: setup
	$(BIN)/python tests/changed.py $(if $(BASE),--base $(BASE)) -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/python docs/write_pages.py
	$(BIN)/python -m sphinx -W --keep-going --quiet -b html docs build/docs

notebooks: setup
	$(BIN)/python -m jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb

bench: setup
	$(BIN)/python experiments/benchmarks/cartpole_ppo.py

clean:
	rm -rf $(VENV) runs/demo
