# Sets up a virtual environment in the checkout and runs what the README names.
PYTHON ?= python3
CORES ?= $(shell nproc)
CONFIG ?= config/config.yaml
EVENTS ?= 1000000
FAULTS ?= 100
SEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SUBMITTER := $(VENV)/submitter

.DEFAULT_GOAL := help
.PHONY: help install run test test-gpu test-gpu-build check emulator portability profiles speed reproduce benchmark faults batch slurm clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make the virtual environment with the pinned dependencies

$(INSTALLED): pyproject.toml constraints.txt
	@command -v g++ >/dev/null || { echo "soaflow: error: there is no g++, which compiles the artifacts: install your system's C++ compiler (on Debian: apt-get install g++)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "soaflow: error: $(PYTHON) is older than 3.11: name a newer one with make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "soaflow: error: $(PYTHON) cannot make virtual environments: install its venv module (on Debian: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

run: install  ## Real jets and generated events through every stage, to results/report.html
	@export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	snakemake --cores $(CORES); status=$$?; \
	if [ -e results/report/verdicts.html ] && \
	   [ -n "$$(find results/report results/verdicts workflow/report -newer results/report.html 2>&1)" ]; \
	then snakemake --cores $(CORES) --report results/report.html || exit; fi; \
	exit $$status

test: install  ## Format, lint, types and all tests
	PATH="$(CURDIR)/$(BIN):$$PATH" $(MAKE) --no-print-directory check
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest --numprocesses $(CORES) --dist loadscope --no-loadscope-reorder

ifeq ($(origin PYTHON),command line)
GPU_PYTHON := $(PYTHON)
else
GPU_PYTHON := $(BIN)/python
test-gpu test-gpu-build: install
endif
NEEDED_ON_A_GPU := torch numpy h5py yaml jsonschema pytest pytest_timeout pytest_benchmark hypothesis
LACKS_NOTHING = @$(GPU_PYTHON) -c 'import sys; from importlib.util import find_spec; lacks = [one for one in sys.argv[1:] if not find_spec(one)]; sys.exit(f"soaflow: error: {sys.executable} lacks {lacks}: install them there" if lacks else 0)' $(NEEDED_ON_A_GPU) || exit 2

test-gpu:  ## Tests that need a GPU and fail without one; with PYTHON=python3 in an environment that has its own torch
	$(LACKS_NOTHING)
	SOAFLOW_GPU_TESTS=required PYTHONPATH="$(CURDIR)/src" $(GPU_PYTHON) -m pytest tests/gpu

test-gpu-build:  ## Builds for a GPU that need none, but a torch with CUDA and the toolkit in CUDA_HOME; with PYTHON=python3
	$(LACKS_NOTHING)
	SOAFLOW_GPU_BUILD_TESTS=required CUDA_VISIBLE_DEVICES= PYTHONPATH="$(CURDIR)/src" $(GPU_PYTHON) -m pytest tests/gpu_build

check: install  ## Format, lint and types alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	$(BIN)/codespell

emulator:  ## Install qemu-user where it is missing, with which tests and portability emulate CPUs
	@command -v qemu-x86_64 >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends qemu-user; } || { echo "soaflow: error: there is no qemu-x86_64: install your system's qemu-user" >&2; exit 2; }

portability: install emulator  ## Artifacts on emulated CPUs of their levels; MODELS="A B" for some models
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) $(if $(MODELS),$(MODELS:%=results/portability/%.passed.txt),portability)

profiles: install  ## The fastest build profile of each model for each batch size, on this machine
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) profiles

speed: install  ## How fast each variant of each model is and what its start costs, on this machine, left alone
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores 1 speed

reproduce: install  ## Everything twice from scratch, on other shards and cores, and a table of hashes; MODELS, CONFIG, TARGETS
	SOAFLOW_CACHE=off PATH="$(CURDIR)/$(BIN):$$PATH" python workflow/reproduce.py --cores $(CORES) --config $(CONFIG) --models $(MODELS) --targets $(TARGETS)

benchmark: install  ## Measure generation, mapping and a job's cost; EVENTS=10000000 for 10^8 rows
	SOAFLOW_BENCHMARK_EVENTS=$(EVENTS) PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-sort=name

batch: $(SUBMITTER)  ## Add to the environment what submits to a farm with Slurm

$(SUBMITTER): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[slurm]'
	@touch $@

slurm: run batch  ## The default run and faults on a real Slurm, started on this machine for it, as root
	tests/slurm/one-machine install
	@export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	tests/slurm/one-machine up && SOAFLOW_SLURM_TESTS=required python -m pytest --durations=0 tests/slurm; \
	status=$$?; tests/slurm/one-machine down; exit $$status

faults: install  ## Kill, fill, cut and change at every stage and at random; FAULTS=500 for more, SEED=2 for others
	PATH="$(CURDIR)/$(BIN):$$PATH" python tests/faults/campaign.py --faults $(FAULTS) --seed $(SEED)

clean:  ## Remove all results and the environment
	rm -rf results reproduced .snakemake $(VENV)
