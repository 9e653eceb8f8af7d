# `make demo` and `make test` set themselves up: they need Python 3.11 or newer, make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check clean
help:
	@echo "make demo    the seminar's five experiments on the built-in corpus, and three predictions"
	@echo "make test    the test suite"
	@echo "make check   ruff and mypy"
	@echo "make clean   remove the environment and everything that was made"

demo: $(VENV)/.demo
	rm -rf demo
	$(BIN)/rubrica vectors train mini-news --out demo/vectors.txt
	$(BIN)/rubrica seminar --data mini-news --vectors demo/vectors.txt --out demo/seminar
	printf '%s\n' \
	  'Champions lose cup final after penalty in the last minute' \
	  'Central bank raises rates as oil prices climb' \
	  'New telescope finds water on a distant planet' \
	  | $(BIN)/rubrica predict demo/seminar/models/gru-vectors
	@echo "Open demo/seminar/report.html in a browser."

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.demo: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[train,vectors,report]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo runs .pytest_cache .mypy_cache .ruff_cache .hypothesis src/rubrica.egg-info
