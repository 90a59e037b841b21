# What a developer types here. It asks for nothing beyond make 3.81 (macOS has that one), Python and openssl.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# One worker more than there are processors: some tests wait, for etcd or for a server that never answers.
WORKERS = $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)')

# What pytest is given, for example: make test TESTS='tests/test_faults.py -k disk'
TESTS  ?= tests

.PHONY: help demo test check thorough labs bench endurance platforms man picture hooks format clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile

demo: $(VENV)/.kcert  ## all certificates of the example cluster in ./pki, with the lesson
	$(BIN)/kcert all

test: check  ## the checks, then all tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(TESTS)

check: $(VENV)/.developer  ## ruff, mypy --strict, the tests' own lint of code and words, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.lint
	$(BIN)/python -m tests.prose
	$(BIN)/codespell

thorough: $(VENV)/.developer  ## the tests that `make test` omits: more of the same, and what takes long
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m thorough $(TESTS)

labs: $(VENV)/.developer  ## every lab with 20 seeds, each way: broken, wrongly repaired, solved by hand and by kcert
	KCERT_TESTS_THOROUGH=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m '' tests/practice

bench: $(VENV)/.developer  ## how long the program takes, against plain openssl
	$(BIN)/python -m tests.bench

endurance: $(VENV)/.developer  ## kills, crowds, full disks, bad input, by the thousand (an hour or two)
	$(BIN)/python -m tests.endurance

platforms: $(VENV)/.developer  ## the tests on each Python, with the oldest and the newest dependencies
	$(BIN)/python -m tests.platforms

man: $(VENV)/.kcert  ## write kcert/kcert.1 again, the manual page that is installed with kcert, from the help
	$(BIN)/python -m kcert.manual > kcert/kcert.1

picture: $(VENV)/.developer  ## draw the picture in README.md again, from a run of kcert
	$(BIN)/python -m tests.picture

hooks: $(VENV)/.developer  ## have git run the checks before each commit
	$(BIN)/pre-commit install

format: $(VENV)/.developer  ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## delete what was built; ./pki stays
	rm -rf $(VENV) .platforms build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find kcert tests -name __pycache__ -prune -exec rm -rf {} +

# Stamps: an environment is made once, and installed into again only when pyproject.toml changes.
$(VENV)/.made:
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.kcert: $(VENV)/.made pyproject.toml
	$(INSTALL) --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.developer: $(VENV)/.made pyproject.toml
	$(INSTALL) --editable '.[dev]'
	@$(COMPILE)
	@touch $(VENV)/.kcert $@

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore

# pip compiles what it copies, and leaves an editable install to the first run of each module.
COMPILE = [ -n "$$PYTHONDONTWRITEBYTECODE" ] || $(BIN)/python -m compileall -q kcert
