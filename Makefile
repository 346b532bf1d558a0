# The project's chores; CI runs the same words. `make demo` and `make test` set themselves up.
PYTHON ?= python3
TORCH ?= cpu
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo serve test check coverage bench bench-serve bench-page results format clean


setup: $(READY)

# Made aside, so that an interrupted installation is never taken for a finished one.
$(READY): pyproject.toml constraints.txt scripts/setup.py
	$(PYTHON) scripts/setup.py --venv $(VENV) --torch $(TORCH)
	@touch $(READY)

demo: $(READY)
	$(BIN)/macrid demo

# What the demo has made, with a page to turn its dials, at http://127.0.0.1:8000; SERVE="--port 9000" and the like are passed on.
serve: $(READY)
	$(BIN)/macrid serve runs/demo/model $(SERVE)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

coverage: $(READY)
	$(BIN)/coverage run -m pytest -n 0
	$(BIN)/coverage report

# About two hours on two cores that do nothing else; --only and --quick make less of it.
bench: $(READY)
	$(BIN)/python benchmarks/run.py $(BENCH)

# The service under load (Debian: apt-get install wrk hey), some minutes.
bench-serve: $(READY)
	$(BIN)/python benchmarks/serving.py $(BENCH)

bench-page: $(READY)
	$(BIN)/python benchmarks/page.py $(BENCH)

# Accuracy on real data into docs/results.md; many hours, goes on where it stopped.
results: $(READY)
	$(BIN)/python scripts/results.py $(RESULTS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs benchmarks/.peers
