# Two commands do all the set-up: `make app` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet
# Where PyPI alone would bring PyTorch with CUDA (some 3 GB), its CPU build:
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Each worker of the tests loads TensorFlow, some 2 GB.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: app test test-fast lint bench screenshots lock sbom digests check clean

app: .venv/app check
	$(BIN)/streamlit run app/server.py --server.headless $(or $(HEADLESS),false)

# The browser's tests share one server and time out when starved, so they run alone.
test: .venv/dev lint
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "not browser"
	$(PYTEST) -m browser

# What a change is tried against while it is made: under a minute.
test-fast: .venv/dev
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "not browser and not slow"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python -m pipeline bench
	$(BIN)/python -m tests.bench_pages

# The pictures of the README, of synthetic films.
screenshots: .venv/dev
	$(BIN)/python docs/screenshots.py

# Whether the weights are those that the registry describes.
check: .venv/app
	$(BIN)/python -m pipeline.models.registry

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --requirement requirements.txt
	touch $@

.venv/dev: .venv/app requirements-dev.txt requirements-train.txt
	$(PIP) --requirement requirements-dev.txt
	$(PIP) $(addprefix --extra-index-url ,$(TORCH_INDEX)) --requirement requirements-train.txt
	touch $@

# Resolve the dependencies of pyproject.toml again, for every Python that it names: for the app, for
# the app on ONNX Runtime alone, and for tests. PyTorch has a file of its own without hashes, since
# which of its builds is right differs between machines.
lock: .venv/dev
	$(PIP) uv
	$(COMPILE) --extra keras --extra app --output-file requirements.txt pyproject.toml
	$(COMPILE) --extra app --constraint requirements.txt --output-file requirements-onnx.txt \
	pyproject.toml
	$(COMPILE) --extra keras --extra app --extra dev --constraint requirements.txt \
	--output-file requirements-dev.txt pyproject.toml
	$(BIN)/python -c "import tomllib; \
	print('# Written by make lock.'); \
	print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['train'])" \
	> requirements-train.txt

# What ships: a bill of materials (CycloneDX) with hashes, and the licences in one file.
SHIPPED = $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' requirements.txt)
sbom: .venv/dev
	mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
	--output-reproducible --output-file build/sbom.cdx.json
	{ sed '/^| /,$$d' THIRD_PARTY.md; $(BIN)/pip-licenses --from=mixed --format=markdown \
	--with-urls --packages $(SHIPPED); } > build/THIRD_PARTY.md
	mv build/THIRD_PARTY.md THIRD_PARTY.md

# Name the base images by their present digests; asks their registry, needs skopeo.
digests:
	docs/deploy/digests.sh

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build *.egg-info
