# Everything a user needs, one line of real work each; `make help` lists them.
PYTHON ?= python3
PY = .venv/bin/python

.PHONY: help setup test test-kernels reproduce-tables record-tables train-free bench data lint tables tables-check

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,export]'
	@touch .venv/.done

setup: .venv/.done  ## make .venv with the tested versions and this package in editable form

test: .venv/.done  ## run the tests on all cores (under 10 minutes on 2)
	$(PY) tests/helpers/shared_run.py -q

test-kernels: .venv/.done  ## run the tests with kernels of older processors, and with 2 and 4 threads (5 times as long)
	$(PY) tests/helpers/kernel_runs.py -q $(ARGS)

reproduce-tables: .venv/.done  ## measure every row whose data and weights are here; ARGS="--quick" for the short part
	$(PY) -m common.tables.reproduce $(ARGS)

record-tables: .venv/.done  ## write what reproduce-tables measured into the csv files and the READMEs
	$(PY) -m common.tables record $(ARGS)

tables: .venv/.done  ## write the tables of the READMEs from the csv files
	$(PY) -m common.tables write

tables-check: .venv/.done  ## fail if a README's table differs from its csv file
	$(PY) -m common.tables check

train-free: .venv/.done  ## train the networks in the box, in turns; ARGS="--only ifrnet --hours 2"
	$(PY) -m common.training.queue $(ARGS)

bench: .venv/.done  ## parameters, GMAC, speed against the convolutions alone, memory
	$(PY) -m common.bench

data: .venv/.done  ## synthetic clips in the layout of DVD, in ./datasets
	$(PY) datasets/make_synthetic.py --layout DVD

lint: .venv/.done  ## ruff: rules and format
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
