# Two commands set up everything: `make demo` and `make test`. Both build .venv once and reuse it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VIDEO ?=
QUERY ?=

.PHONY: help demo test test-fast test-slow test-browser lint types format tiny bench clean

help:  ## show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(STAMP)  ## ground sentences in a drawn clip, or in yours: make demo VIDEO=v.mp4 QUERY="the dog"
	@mkdir -p demo
ifeq ($(VIDEO),)
	$(BIN)/python examples/first_tube.py demo
else
	$(BIN)/stvg ground "$(VIDEO)" "$(QUERY)" --method track_match --out demo/prediction.json --overlay demo/overlay.mp4 --sheet demo/sheet.png
endif
	@echo
	@echo "Look at demo/overlay.mp4 (the video with the tubes) and demo/sheet.png (a few frames);"
	@echo "demo/prediction.json holds the numbers. Next: README.md, \"On a video of yours\"."

test: $(STAMP) lint types  ## lint, types and all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -q

test-fast: $(STAMP)  ## tests only, stop at the first failure
	$(BIN)/python -m pytest -m "not slow" -q -x

test-slow: $(STAMP)  ## the slow tests too
	$(BIN)/python -m pytest -q

test-browser: $(STAMP)  ## the tests of the page; needs Chromium (apt-get install chromium)
	STVG_REQUIRE_BROWSER=1 $(BIN)/python -m pytest tests/view -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)  ## format and sort everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tiny: $(STAMP)  ## train the embedded model from nothing (two hours on two cores), and put it in place
	for stage in tower image video text_box; do $(BIN)/stvg train recipes/tiny/$$stage.yaml || exit 1; done
	$(BIN)/python -m stvg.train.ship runs/tiny/video/last base --heads
	$(BIN)/python -m stvg.train.ship runs/tiny/text_box/last text_box

bench: $(STAMP)  ## the quick form of every benchmark
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

clean:  ## remove the environment and everything that was made
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[data,models,perception,train,serve,dev]"
	@touch $(STAMP)
