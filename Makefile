# Two commands need nothing before them: `make demo` and `make test`.
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The peers of the event log have an environment of their own: the product needs none of them.
BENCH_VENV ?= .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
# What is compiled where a C compiler is at hand.
NATIVE := hatch_build.py $(wildcard eventstore/native/* caf/media/native/*)
# Tests wait for processes and disks a quarter of their time, so that half as many again as processors fill these.
TESTS_AT_ONCE ?= $(shell echo $$(( ($$(nproc 2>/dev/null || echo 2) * 3 + 1) / 2 )))
# The newest Python of those that caf runs on, 3.12 last, as it never forgets a file name; the first that really starts.
PYTHON ?= $(shell for p in python3.13 python3.11 python3.12 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
UV := $(shell command -v uv 2>/dev/null)
# The tests start thousands of processes: where nothing may be kept, each compiles all of caf anew, half a second long.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test sim lint types check format schemas lock crash soak bench-log bench-log-huge bench-steady bench-light bench-pose bench-repairs bench-transcode bench-lanes bench-long-log bench-qc bench-qc-speed clean system

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(READY) ## Set up if need be, then run the main job: three scenarios on real pictures
	$(BIN)/caf demo --workspace build/demo

test: $(READY) ## Set up if need be, then pass the tests
	$(BIN)/pytest -n $(TESTS_AT_ONCE) --dist worksteal

sim: $(READY) ## Simulate a million jobs on all processors, through every fault (JOBS=1000000)
	$(BIN)/python -m tests.simulation --jobs $(or $(JOBS),1000000)

lint: $(READY) ## Style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Types, strictly
	$(BIN)/mypy

check: lint types test ## Exactly what CI runs

format: $(READY) ## Put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(READY) ## Write schemas/ anew from the contracts
	$(BIN)/python -m caf.contracts.schemas --write

lock: $(READY) ## Resolve the dependencies anew; needs uv
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements.lock
	uv pip compile --group bench --universal --python-version 3.11 -c requirements.lock \
		--generate-hashes --no-emit-index-url --no-header -o requirements-bench.lock

bench-log: $(BENCH_READY) ## Measure the event log beside its peers, into bench/RESULTS.md (WORDS="--huge")
	$(BENCH_VENV)/bin/python -m bench.log --write --command "make bench-log$(if $(WORDS), WORDS=$(WORDS))" $(WORDS)

bench-log-huge: $(BENCH_READY) ## Measure a log of ten million events beside small ones, into bench/RESULTS.md (five minutes)
	$(BENCH_VENV)/bin/python -m bench.log --only huge --write --command "make bench-log-huge"

crash: $(READY) ## Kill a daemon under load 500 times at moments of chance, and prove its workspace (WORDS="--kills 50")
	$(BIN)/python -m tests.crash $(WORDS)

soak: $(READY) ## Serve short jobs for an hour, and judge whether anything grows (WORDS="--minutes 10 --write")
	$(BIN)/python -m bench.soak $(WORDS)

bench-lanes: $(READY) ## Measure how busy the render lane is, into bench/RESULTS.md
	$(BIN)/python -m bench.lanes --write $(WORDS)

bench-long-log: $(READY) ## Measure caf jobs and the start-up on a log of a million events, into bench/RESULTS.md
	$(BIN)/python -m bench.long_log --write $(WORDS)

bench-steady: $(READY) ## Measure the stabiliser beside vid.stab, into bench/RESULTS.md (WORDS="--footage FOLDER")
	$(BIN)/python -m bench.steady --write $(WORDS)

bench-light: $(READY) ## Measure the evening of light beside ffmpeg's deflicker (WORDS="--footage FOLDER")
	$(BIN)/python -m bench.light --write $(WORDS)

bench-pose: $(READY) ## Measure the pose pre-pass beside a plain loop (WORDS="--footage FOLDER")
	$(BIN)/python -m bench.pose --write $(WORDS)

bench-repairs: $(READY) ## Measure whether one retry repairs (WORDS="FOLDER")
	$(BIN)/python -m bench.repairs --write $(WORDS)

bench-transcode: $(READY) ## Measure decode, warp, encode beside a bare loop (WORDS="--footage FOLDER")
	$(BIN)/python -m bench.transcode --write $(WORDS)

bench-qc: $(READY) ## Measure what QC sees of spoiled clips, into bench/RESULTS.md (WORDS="FOLDER --tuned-on NAME")
	$(BIN)/python -m bench.qc_auc --write $(WORDS)

bench-qc-speed: $(READY) ## Measure how fast measuring is, and what it holds (WORDS="CLIP --long 60")
	$(BIN)/python -m bench.qc_speed --write $(WORDS)

clean: ## Remove the environments, and what the demo and the benchmark made
	rm -rf $(VENV) $(BENCH_VENV) build

system:
	@test -n "$(PYTHON)" || { echo "caf needs Python 3.11, 3.12 or 3.13; none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 69; }
	@$(PYTHON) -m caf.system

$(READY): pyproject.toml requirements.lock $(NATIVE) | system
ifneq ($(UV),)
	uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing. On Debian or Ubuntu:" \
		"sudo apt-get install -y python3-venv" >&2; exit 69; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

# caf itself is not installed there: `python -m bench.log` runs from this folder and imports what lies in it.
$(BENCH_READY): requirements-bench.lock $(NATIVE)
	@test -n "$(PYTHON)" || { echo "caf needs Python 3.11, 3.12 or 3.13; none was found." >&2; exit 69; }
ifneq ($(UV),)
	uv venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(BENCH_VENV)
	uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r requirements-bench.lock
else
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
endif
	-$(BENCH_VENV)/bin/python hatch_build.py
	@touch $@
