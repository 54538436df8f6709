# `make search` and `make test` build the environment first; nothing but Python 3.11+, pip and make is needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search install test test-slow test-thorough gpu coverage bench bench-peers soak autoattack networks fuzz site check lint lock clean

search: install
	$(BIN)/temper search digits

install: .venv/.installed

# An install that was cut short leaves `.installing` behind and packages torn: the next one starts from an empty .venv.
.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(if $(wildcard .venv/.installing),--clear) .venv
	touch .venv/.installing
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[dev]'
	mv .venv/.installing $@

# A file's tests share fixtures, so they stay in one process; each process computes on one thread, so that they do not
# wait for each other's.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Two at a time what can be; then, one at a time, kills and time limits of a machine that does nothing else.
test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow and not alone and not thorough' --numprocesses 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -m 'slow and alone and not thorough' --durations 10

# Every other kind of fault and place: before a release, and after a change of what they are about. Half an hour.
test-thorough: install
	$(BIN)/python -m pytest -m thorough

# What needs a card: tests, some of those of the command once more with a quarter of a card for each trial, and how much
# trials that share one get done, with and without mixed precision. Ten minutes.
gpu: install
	$(BIN)/python -m pytest -m gpu
	TEMPER_TEST_GPU=0.25 $(BIN)/python -m pytest -m '' tests/end_to_end/test_resume.py tests/end_to_end/test_confirm.py
	$(BIN)/python -m tests.benchmarks.packing
	$(BIN)/python -m tests.benchmarks.packing --precision bf16-mixed

# The fast tests once more, in two processes, with the lines and branches that they reach.
coverage: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report json:build/coverage.json
	$(BIN)/python -m tests.support.coverage_table build/coverage.json

# Ratios of speeds, each measured in one run; the deployed file's bytes, labels and latency; how near scores come to
# AutoAttack's; what the driver of a search costs, in two real minutes and in decisions after 10,000 trials (five minutes);
# then searches on recorded curves against each other, which take most of the time: half an hour on two cores.
bench: install
	$(BIN)/python -m tests.benchmarks.training
	$(BIN)/python -m tests.benchmarks.deployment
	$(BIN)/python -m tests.benchmarks.trial
	$(BIN)/python -m tests.benchmarks.autoattack.scoring
	$(BIN)/python -m tests.benchmarks.overhead
	$(BIN)/python -m tests.benchmarks.decisions
	$(BIN)/python -m tests.benchmarks.searching
	$(BIN)/python -m tests.benchmarks.workers --output build/workers.jsonl
	$(BIN)/python -m tests.benchmarks.objectives --output build/objectives.jsonl

# A search of an hour on four nodes that keep losing power and coming back, as root: no result may be lost or counted
# twice. Half a minute of it is one of the slow tests.
soak: install
	$(BIN)/python -m tests.benchmarks.soak

# What AutoAttack leaves of each image, for the networks that the score is measured against in `make bench`. Goes on where
# it was stopped: a few minutes a network of digits, up to an hour and more one of Fashion-MNIST.
autoattack: install
	$(BIN)/pip install --quiet --no-deps --upgrade --target build/autoattack pyautoattack==0.2.0
	PYTHONPATH=build/autoattack $(BIN)/python -m tests.benchmarks.autoattack.record --train

# Temper's sampler against what else one could pick, on tables of recipes, each optimizer with 20 seeds. Results are kept
# in tests/benchmarks/peers/found, so it goes on where it was stopped. Half a day on two cores.
bench-peers: build/peers/main/.installed build/peers/primo/.installed
	build/peers/primo/bin/python -m pytest -q -W default tests/benchmarks/peers/optimizers/test_optimizers.py
	build/peers/main/bin/python -m pytest -q -W default tests/benchmarks/peers/optimizers/test_optimizers.py
	build/peers/primo/bin/python -m tests.benchmarks.peers run --peers PriMO
	build/peers/main/bin/python -m tests.benchmarks.peers run
	build/peers/main/bin/python -m tests.benchmarks.peers report

# An environment over .venv: what is pinned comes first, and PyTorch and all else is taken from .venv.
SITE := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
build/peers/%/.installed: tests/benchmarks/peers/requirements-%.txt .venv/.installed
	$(PYTHON) -m venv --clear $(@D)
	$(BIN)/python $(SITE) > "$$($(@D)/bin/python $(SITE))/temper.pth"
	$(@D)/bin/pip install --quiet --no-deps --requirement $<
	touch $@

# The smallest model of each of torchvision's families through all that Temper does with one: writes docs/networks.md.
# A quarter of an hour, and as much again for the tests of the families that `make test-slow` leaves out.
networks: install
	$(BIN)/python -m pytest -m families
	$(BIN)/python -m tests.benchmarks.networks

# Generated networks, studies and image folders, each taken through to the end or refused in words; goes on where it
# was stopped. Hours on two cores.
fuzz: install
	$(BIN)/python -m tests.fuzz.networks
	$(BIN)/python -m tests.fuzz.inputs studies
	$(BIN)/python -m tests.fuzz.inputs folders
	$(BIN)/python -m tests.fuzz.inputs searches

# The documents as a site in build/site; a link that leads nowhere is an error.
site: install
	$(BIN)/python -m tests.support.site_pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# Freeze what is installed, once it is what pyproject.toml asks for and the tests pass.
lock:
	$(BIN)/pip freeze --exclude-editable --exclude temper-search > requirements.lock

clean:
	rm -rf .venv build *.egg-info
