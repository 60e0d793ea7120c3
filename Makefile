# Every target makes .venv and installs what it needs; Python 3.11 or later and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Real sections, where they lie beside the project. Elsewhere they are downloaded when first used.
ifneq ($(wildcard ../shared/data),)
export HISTOSCRIBE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test lint unit tutorials docs bench clean

demo: $(VENV)/demo.done  ## counts and H&E to domains and a map, into demo/
	$(BIN)/python scripts/demo.py

test: lint unit tutorials docs  ## everything that CI runs

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .typing && ln -sfn ../src .typing/histoscribe
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/test.done
	$(BIN)/pytest -n 2 --dist loadfile

tutorials: $(VENV)/test.done  ## run the notebooks as a user would
	$(BIN)/python scripts/run_tutorials.py

docs: $(VENV)/test.done
	PYTHONWARNINGS=ignore $(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/bench.done  ## measure, and write the tables of docs/results
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) .typing build dist demo docs/_build docs/api/generated src/*.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "histoscribe needs Python 3.11 or later; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[leiden]'
	touch $@

$(VENV)/test.done: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[leiden,openslide,docs,test]'
	touch $@ $(VENV)/demo.done

$(VENV)/bench.done: $(VENV)/test.done
	$(BIN)/python -m pip install -q -e '.[bench]'
	touch $@
