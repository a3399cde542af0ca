# Each target makes .venv and installs what it needs; a second call starts at once.
# A Python of your own: make test PYTHON=/path/to/python3.12

PYTHON = $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $(p))))
POSEDIVE = .venv/bin/posedive

.PHONY: demo test check bench chaos

demo: .venv/.installed
	$(POSEDIVE) generate jobs/demo.yaml
	$(POSEDIVE) verify out/demo
	$(POSEDIVE) report out/demo

test: .venv/.installed
	scripts/system_packages
	.venv/bin/python -m pytest -m "not slow" -n 2
	.venv/bin/python -m pytest -m slow

check: .venv/.installed
	scripts/check

bench: .venv/.installed
	$(POSEDIVE) bench render
	$(POSEDIVE) bench generator
	$(POSEDIVE) bench pipeline
	$(POSEDIVE) bench stream

chaos: .venv/.installed
	.venv/bin/python scripts/kill_matrix.py
	.venv/bin/python scripts/autoscale.py

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "posedive needs Python 3.11 or newer; none found in PATH" >&2; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv; once, some minutes"
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/python -c "from posedive.datasets.embedded import EmbeddedWorld as World; world = World(); \
		world.read(world.images('query')[0])"  # compiles what numba compiles, once for all workers
	touch $@
