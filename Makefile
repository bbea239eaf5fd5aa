# Two commands do all the set-up: `make app` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: app test lint screenshots lock check clean

app: .venv/app check
	$(BIN)/streamlit run app/server.py --server.headless $(or $(HEADLESS),false)

test: .venv/dev lint
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The pictures of the README, of synthetic films.
screenshots: .venv/dev
	$(BIN)/python docs/screenshots.py

# Whether the weights are those that the registry describes.
check: .venv/app
	$(BIN)/python -m pipeline.models.registry

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/dev: .venv/app requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

# Resolve requirements*.in again.
lock: .venv/dev
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links requirements.in
	$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links requirements-dev.in

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache
