# Every target sets up what it needs: a virtual environment in .venv with the pinned set. The second time it is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# A machine without an NVIDIA card gets the CPU build of torch, some hundred megabytes instead of several thousand.
TORCH_INDEX := $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: install install-unsloth quickstart browser test test-all test-unsloth test-beyond lint base clean
.PHONY: bench bench-quickstart bench-step bench-rollout bench-memory bench-busy bench-plan bench-learning
.PHONY: bench-rewards bench-update bench-sums bench-selection bench-lr bench-base bench-scale bench-data bench-growth bench-eval bench-coverage
.PHONY: docs doc-tables models
.PHONY: soak-budget soak-caps soak-crash soak-bill soak-sweep

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --retries 1 --constraint constraints.txt --no-deps $(TORCH_INDEX) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tasks,export,report,track,dev]'
	touch $@

quickstart: $(INSTALLED)  ## two minutes: a language model learns to reason, for less than a cent
	$(BIN)/tina-lite run recipes/quickstart.yaml $(ARGS)

browser:  ## Debian's Chromium for the tests of the report, which are skipped without it
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; } || \
		echo "no Chromium, so the tests that need one are skipped"

# A worker for each core, each with a thread; ARGS='-n 0 FILE' runs a file in one process, with a debugger if wished.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8
test: $(INSTALLED)  ## the core, for whoever changes something: two minutes or three on two cores
	$(PYTEST) --dist worksteal -m "not slow and not beyond" $(ARGS)

test-all: $(INSTALLED)  ## the core and all the rest, last both engines; Chromium's part needs make browser
	$(PYTEST) --dist worksteal -m "not unsloth and not beyond" $(ARGS)
	$(MAKE) test-unsloth

UNSLOTH := $(VENV)/.installed-unsloth
install-unsloth: $(UNSLOTH)  ## the engine for a CUDA card, beside the pinned set, which its own pins would move
$(UNSLOTH): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps unsloth unsloth_zoo
	touch $@

test-unsloth: $(UNSLOTH)  ## both engines compared, and whole runs under either; MODEL=folder adds a real model
	$(if $(MODEL),TINA_LITE_TEST_MODEL=$(MODEL)) $(PYTEST) --dist loadfile -m unsloth tests/policy $(ARGS)

BEYOND := $(VENV)/.installed-beyond
SKY := .venv-sky
$(BEYOND): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[sweep]'
	test -x $(SKY)/bin/python || $(PYTHON) -m venv $(SKY)
	$(SKY)/bin/python -m pip install --quiet skypilot==0.14.1
	touch $@

test-beyond: $(BEYOND)  ## sweeps on Ray, also when something is killed, and tasks as SkyPilot reads them: ten minutes
	PATH=$(CURDIR)/$(SKY)/bin:$$PATH $(BIN)/python -m pytest --numprocesses 0 -m beyond tests/sweep tests/rent $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=bench:tests $(BIN)/mypy $(wildcard bench/*.py)
	MYPYPATH=bench/gpu:bench $(BIN)/mypy $(wildcard bench/gpu/*.py)
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python tests/house.py
	$(MKDOCS) --site-dir build/site

# Benchmarks end within 10 minutes on two cores (those of learning within 120), at BENCH_MINUTES=N earlier or later, with
# what was measured until then.
bench:  ## what there is to measure, and how long it takes
	@echo "make TARGET, with MODEL=folder of SmolLM2-135M-Instruct and DATA=gsm8k-train.jsonl where named;"
	@echo "BENCH_MINUTES=N ends any of them after N minutes with what it has, 10 by default (120 for selection, lr, base)"
	@sed -n 's/^\(bench-[a-z]*\):.*  ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

bench-quickstart: $(INSTALLED)  ## 4 to 8 min: the quickstart over three seeds: gain, seconds, memory, dollars
	@$(BIN)/python bench/quickstart.py

bench-rewards: $(INSTALLED)  ## 2 min: completions a second of each reward, and 10,000 hostile completions
	@$(BIN)/python bench/rewards.py

PEER := .venv-peer
$(PEER)/.installed:
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --retries 1 --no-deps $(TORCH_INDEX) torch==2.13.0
	$(PEER)/bin/python -m pip install --quiet torch==2.13.0 trl==1.16.0 transformers==5.23.0 peft==0.21.2 \
		bitsandbytes==0.50.2 accelerate==1.15.0 math-verify==0.9.0 pydantic==2.14.3 ruamel.yaml==0.19.1
	touch $@

bench-step: $(INSTALLED) $(PEER)/.installed  ## 5 to 10 min, MODEL DATA: seconds and memory of a GRPO step, and of TRL's
	@$(BIN)/python bench/step.py $(PEER)/bin/python $(MODEL) $(DATA)

bench-rollout: $(INSTALLED)  ## 4 to 8 min, MODEL DATA: tokens a second, and those of transformers' generate
	@$(BIN)/python bench/rollout.py $(MODEL) $(DATA)

bench-memory: $(INSTALLED) $(PEER)/.installed  ## 3 to 6 min, MODEL DATA: peak resident memory by phase, and TRL's
	@$(BIN)/python bench/memory.py $(PEER)/bin/python $(MODEL) $(DATA)

bench-growth: $(INSTALLED)  ## 9 to 12 min, MODEL: whether memory stands still over a long run
	@BENCH_MINUTES=15 $(BIN)/python bench/growth.py $(MODEL)

bench-busy: $(INSTALLED)  ## 6 to 10 min, MODEL DATA: a run alone, and two at once on the same cores
	@$(BIN)/python bench/busy.py $(MODEL) $(DATA)

bench-update: $(INSTALLED)  ## 2 min, MODEL: seconds of an update on all completions of a group, and on half
	@$(BIN)/python bench/update.py $(MODEL)

bench-sums: $(INSTALLED)  ## 1 min, MODEL: the error of an update's products with sums in float16, as a card's are imitated
	@$(BIN)/python bench/half_sums.py $(MODEL)

CHEAPER := BENCH_MINUTES=$${BENCH_MINUTES:-120} $(BIN)/python bench/cheaper.py
bench-selection: $(INSTALLED)  ## 40 to 60 min, MODEL: what selection by difficulty saves; SEEDS='1 2 3'
	@$(CHEAPER) selection $(MODEL) $(SEEDS)

bench-lr: $(INSTALLED)  ## 90 to 120 min, MODEL: step sizes side by side; SEEDS='1 2 3'
	@$(CHEAPER) lr $(MODEL) $(SEEDS)

bench-base: $(INSTALLED)  ## 40 to 60 min, MODEL: a base in NF4 and one in 16 bit; SEEDS='1 2 3'
	@$(CHEAPER) base $(MODEL) $(SEEDS)

bench-scale: $(BEYOND)  ## 1 min: the driver of a sweep of 10,000 trials, and how many processes Ray starts a second
	@$(BIN)/python bench/scale.py

bench-data: $(INSTALLED)  ## 1 min: seconds and memory to the first step on a million rows
	@$(BIN)/python bench/data.py

bench-plan: $(INSTALLED)  ## 4 to 6 min, MODEL DATA: what plan foretells against what the run takes
	@$(BIN)/python bench/plan.py $(MODEL) $(DATA)

bench-eval: $(INSTALLED)  ## 5 to 10 min, MODEL DATA: Pass@1 of tina-lite eval, and of transformers' generate with math-verify
	@$(BIN)/python bench/evaluation.py $(MODEL) $(DATA)

doc-tables: $(INSTALLED)  ## the tables of docs/ that are made from the code
	@$(BIN)/python tests/doc_tables.py

MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
docs: $(INSTALLED)  ## the documentation as a site, in site/
	$(MKDOCS)

models: $(INSTALLED)  ## 5 min: the engine against transformers and peft on 140 architectures; ARGS='qwen3 lfm2' for some
	@$(BIN)/python bench/models.py $(ARGS)

bench-coverage: $(INSTALLED)  ## 3 to 5 min: how often the 95% intervals of an evaluation hold the truth
	@$(BIN)/python bench/coverage.py

bench-learning: $(INSTALLED) $(PEER)/.installed  ## 5 to 10 min: reward curves against TRL's; DTYPE=bfloat16 for its own adapter
	@$(BIN)/python bench/learning.py $(PEER)/bin/python $(DTYPE)

soak-budget: $(INSTALLED)  ## 40 runs with random budgets and stalls, about 45 minutes: none may bill more than its budget
	$(BIN)/python tests/soak_budget.py $(ARGS)

soak-caps: $(INSTALLED)  ## 27 runs whose time goes where no stop rule is asked, 11 minutes: none may pass its cap, and the bill says what it took
	$(BIN)/python tests/soak_caps.py $(ARGS)

soak-crash: $(INSTALLED)  ## 50 runs that are killed and resumed: each must end as if nothing had happened
	$(BIN)/python tests/soak_crash.py $(ARGS)

soak-sweep: $(BEYOND)  ## nine sweeps of which a trial, a worker or the driver is killed, about 15 minutes: each must end as if nothing had happened
	$(BIN)/python tests/soak_sweep.py $(ARGS)

soak-bill: $(INSTALLED)  ## a run killed 20 times and resumed, about 4 minutes: its bill against a stopwatch
	$(BIN)/python tests/soak_bill.py $(ARGS)

base: $(INSTALLED)  ## pre-train the shipped tiny base again, about 25 minutes on two cores
	$(BIN)/python bench/pretrain_base.py

clean:
	rm -rf $(VENV) $(PEER) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
