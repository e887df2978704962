# Every target makes its own virtual environment when there is none; needs Python >= 3.11, make and a C++17 compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test test-cpp test-finn fuzz fuzz-checker lint bench build binary clean

demo: $(STAMP)
	$(BIN)/bnnhw run --dataset digits --out runs/demo

test: $(STAMP) test-cpp
	$(BIN)/pytest -n 2

# The C++ unit tests, under the address and undefined-behaviour sanitizers.
test-cpp: $(STAMP)
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBNNHW_CPP_TESTS=ON
	$(BIN)/cmake --build build/sanitize
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure

# QONNX graphs through FINN's own steps (finn-plus) and FINN's first executor (finn-base). Both install as `finn`, so each
# has a virtual environment; finn-plus asks for versions that would replace PyTorch, so what it needs is listed.
FINN := build/finn
test-finn: $(STAMP) $(FINN)/plus/installed $(FINN)/base/installed
	$(BIN)/python tests/finn/make_graphs.py $(FINN)/graphs
	$(FINN)/plus/bin/python tests/finn/build_with_finn.py $(FINN)/graphs
	$(FINN)/base/bin/python tests/finn/execute_with_finn_base.py $(FINN)/graphs

$(FINN)/%/installed: tests/finn/%.txt
	$(PYTHON) -m venv $(FINN)/$*
	PIP_CONSTRAINT=$(abspath $<) $(FINN)/$*/bin/pip install -q -r $<
	PIP_CONSTRAINT=$(abspath $<) $(FINN)/$*/bin/pip install -q --no-deps --use-pep517 $$(sed -n 's/^# alone: //p' $<)
	touch $@

# Random questions on all cores, checked against brute force and CaDiCaL; ends at the first disagreement, which names
# its seed. Minutes; not part of the tests.
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz_verify.py --networks 20000 --formulas 100000

# Coverage-guided fuzzing of everything the certificate checker reads, so many seconds a harness (docs/trust.md); needs
# Clang and its libFuzzer (Debian: clang, libclang-rt-dev). What it finds is left in build/fuzz, with how to repeat it.
FUZZ_SECONDS ?= 60
FUZZ_HARNESSES ?= model formula question
fuzz-checker: $(STAMP)
	$(BIN)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DCMAKE_CXX_COMPILER=clang++ -DBNNHW_FUZZERS=ON
	$(BIN)/cmake --build build/fuzz
	cd build/fuzz && for harness in $(FUZZ_HARNESSES); do \
		mkdir -p $$harness && verify/checker/fuzz/fuzz_$$harness -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=20 \
			-print_final_stats=1 -artifact_prefix=$$harness- $$harness ../../verify/checker/fuzz/corpus/$$harness || exit 1; \
	done

# The type checker reads the installed layout, where every room is below bnnhw.
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed
	$(BIN)/pip install -q --no-build-isolation --no-deps --target build/typed .
	MYPYPATH=build/typed $(BIN)/mypy -p bnnhw

# Each benchmark measures both sides in one run; the verifier's needs a model, which the demo leaves.
bench: $(STAMP) binary
	test -f runs/demo/model.bnn || $(MAKE) demo
	$(BIN)/python benchmarks/inference_cpu.py --threads 1 --clock cpu
	$(BIN)/python benchmarks/gemm_cpu.py
	$(BIN)/python benchmarks/verify/compare.py --binary build/binary/verify/bnnhw-knf --model runs/demo/model.bnn --eps 0.1 --count 100 --time-limit 20

# Recompile the C++ modules and renew the editable install's list of files.
build: $(STAMP)
	$(BIN)/pip install -q --no-build-isolation --no-deps -c constraints.txt -e .

# The solver as a program, build/binary/verify/bnnhw-knf, for comparisons with other programs.
binary: $(STAMP)
	$(BIN)/cmake -S . -B build/binary -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
		-DPython_EXECUTABLE=$(abspath $(BIN))/python -Dnanobind_ROOT=$$($(BIN)/python -m nanobind --cmake_dir)
	$(BIN)/cmake --build build/binary --target bnnhw-knf

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt scikit-build-core nanobind ninja cmake
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q --no-build-isolation -c constraints.txt -e '.[test,crosscheck,lint,gpu]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build runs
