# Every target makes its environment and installs what it needs; Python 3.11 or later and make are enough.
# make PYTHON=python3.13 ... works in an environment of its own, OLDEST=1 with the oldest releases that pyproject.toml allows.
PYTHON ?= python3
ifeq ($(OLDEST),)
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
CONSTRAINTS :=
else
VENV := .venv-oldest
CONSTRAINTS := -c $(VENV)/oldest.txt
endif
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install -q $(CONSTRAINTS)

# Real sections, where they lie beside the project. Elsewhere they are downloaded when first used.
ifneq ($(wildcard ../shared/data),)
export HISTOSCRIBE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: demo test weekly smoke lint unit tutorials docs bench clean

demo: $(VENV)/demo.done  ## counts and H&E to domains and a map, into demo/
	$(BIN)/python scripts/demo.py

test: lint unit tutorials docs  ## the suite that is run at every step: ten minutes on two idle cores

weekly: $(VENV)/test.done  ## the rest: kills, disks, signals, fuzzing, full cross products, long training
	$(BIN)/pytest -n 2 --dist loadfile -m weekly

smoke: $(VENV)/test.done  ## the README, files, contract and plots: tries another Python, or the oldest releases, in minutes
	$(BIN)/pytest -n 2 --dist loadfile -m "not weekly or smoke" $(SMOKE)

SMOKE := tests/test_offline.py tests/test_contract.py tests/test_record.py tests/test_checks.py tests/test_api.py \
	tests/test_demo.py tests/datasets tests/io tests/pl tests/pp/test_pathways.py tests/tl/test_token_parts.py \
	tests/battery/test_entries.py tests/battery/test_round_trip.py

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .typing && ln -sfn ../src .typing/histoscribe
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/test.done
	$(BIN)/pytest -n 2 --dist loadfile -m "not weekly"

tutorials: $(VENV)/test.done  ## run the notebooks as a user would
	$(BIN)/python scripts/run_tutorials.py

docs: $(VENV)/test.done
	PYTHONWARNINGS=ignore $(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/bench.done  ## measure, and write the tables of docs/results
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv .venv-* .typing build dist demo docs/_build docs/api/generated src/*.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "histoscribe needs Python 3.11 or later; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/oldest.txt: $(BIN)/python pyproject.toml
	$(BIN)/python scripts/oldest.py > $@

$(VENV)/demo.done: $(BIN)/python pyproject.toml $(if $(OLDEST),$(VENV)/oldest.txt)
	$(PIP) -e '.[leiden]'
	touch $@

$(VENV)/test.done: $(BIN)/python pyproject.toml $(if $(OLDEST),$(VENV)/oldest.txt)
	$(PIP) -e '.[leiden,openslide,docs,test]'
	touch $@ $(VENV)/demo.done

$(VENV)/bench.done: $(VENV)/test.done
	$(PIP) -e '.[bench]'
	touch $@
