# make demo          the whole pipeline on a small generated data set
# make train         the real thing, from data/ptbxl: networks, thresholds, metrics and ONNX files in trained/
#                    (OUT=DIR: elsewhere); what ships in artifacts/ stays as it is. `python predict.py --artifacts
#                    trained FILE` uses the result; running it again goes on where it was stopped
# make web           the page that runs in the browser, into web/dist (Node 18 or newer; nothing else is needed)
# make try           the same, served at http://127.0.0.1:8600
# make test          lint and all tests, about 8 minutes on two cores
# make test-fast     the unit tests, in less than a minute
# make lint          ruff, and the order in which folders may import one another
# make report        tables, examples and drawing of the documents from artifacts/
# make report-check  do the documents agree with artifacts/?

PYTHON ?= python3
BIN := .venv/bin
# threads that wait without spinning do not starve whatever else runs on the machine
export OMP_WAIT_POLICY := passive
# one process a core, each test file in one of them, one thread each: as many threads as cores
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
test test-fast: export OMP_NUM_THREADS := 1

.PHONY: demo train web try test test-fast lint report report-check

.venv/ready: requirements.txt requirements-inference.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

demo: .venv/ready
	@if [ -f data/ptbxl/ptbxl_database.csv ]; then echo "PTB-XL is in data/ptbxl: \`make train\` trains on the real thing."; fi
	$(BIN)/python dataset.py demo demo/data
	$(BIN)/python train_multilabel.py --data demo/data --out demo --restart --epochs 20 --patience 20
	$(BIN)/python threshold_search.py --data demo/data --out demo
	$(BIN)/python eval_multilabel.py --data demo/data --out demo --split test

OUT ?= trained
train: .venv/ready
	$(BIN)/python train_multilabel.py --out $(OUT) --resume
	$(BIN)/python threshold_search.py --out $(OUT)
	$(BIN)/python eval_multilabel.py --out $(OUT)
	for task in mi_vs_norm norm_vs_abnormal; do \
	  $(BIN)/python train_binary.py --task $$task --out $(OUT) --resume && \
	  $(BIN)/python threshold_search.py --task $$task --out $(OUT) && \
	  $(BIN)/python eval_binary.py --task $$task --out $(OUT) || exit 1; \
	done
	$(BIN)/python train_multilabel.py --leads any --out $(OUT) --resume
	$(BIN)/python threshold_search.py --task anylead --out $(OUT)
	$(BIN)/python export_onnx.py --out $(OUT)

web: web/node_modules/ready
	npm --prefix web run build

try: web
	@echo "http://127.0.0.1:8600/ (Ctrl-C ends it)"
	$(PYTHON) -m http.server 8600 --bind 127.0.0.1 --directory web/dist

web/node_modules/ready: web/package.json web/package-lock.json
	npm --prefix web ci --no-audit --no-fund --loglevel error
	touch $@

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

test: lint $(if $(shell command -v npm),web)
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: .venv/ready-dev
	$(BIN)/python -m pytest -m unit $(PARALLEL)

report: .venv/ready-dev
	$(BIN)/python -m tools.update_docs
	$(BIN)/python -m tools.make_api_guide

report-check: .venv/ready-dev
	$(BIN)/python -m tools.update_docs --check
	$(BIN)/python -m tools.make_api_guide --check
