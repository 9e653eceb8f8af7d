# `make demo` and `make test` set themselves up: they need Python 3.11 or newer, make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-numpy slow sanitize check rooms clean
help:
	@echo "make demo        the seminar's five experiments on the built-in corpus, and three predictions"
	@echo "make test        the test suite"
	@echo "make test-numpy  the same without the native core; and the package, installed without a compiler, answers"
	@echo "make slow        the long proofs: every place of every whole number, all cases of make sanitize"
	@echo "make sanitize    the native core under the address and undefined-behaviour sanitizers (GCC), a fifth of the cases"
	@echo "make check       ruff and mypy"
	@echo "make rooms       draw docs/rooms.svg from the imports"
	@echo "make clean       remove the environment and everything that was made"

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
	$(BIN)/python -m pytest -n auto

test-numpy: $(VENV)/.dev
	RUBRICA_KERNELS=numpy $(BIN)/python -m pytest -n auto
	rm -rf build/base && $(PYTHON) -m venv build/base
	CC=/no/compiler CXX=/no/compiler build/base/bin/pip install --quiet .
	build/base/bin/rubrica info --env --json | grep "no native core"
	echo "Oil prices climb" | build/base/bin/rubrica predict tests/data/artifact-v1

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m slow
	native/sanitize.sh 1

sanitize: $(VENV)/.dev
	native/sanitize.sh 0.2

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

rooms: $(VENV)/.dev
	$(BIN)/python docs/draw_rooms.py

$(VENV)/.demo: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[train,vectors,report]'
	touch $@

# Without --no-compile pip compiles 14,000 files, of which the tests import a part.
$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo runs src/rubrica/kernels/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis src/rubrica.egg-info
