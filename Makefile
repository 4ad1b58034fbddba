# The two commands of the README are `make demo` and `make test`. Both make their own virtual environment, once.
#   make demo                     a synthetic night drive through the real nodes; the pictures are in demo/
#   make demo INPUT=PATH          the same with your rosbag2, video or image folder
#   make test                     ruff, mypy, pytest
#   make PYTHON=python3.12 ...    chooses the Python that the environment is made with (3.10 to 3.14)

PYTHON ?= python3
INPUT ?=
BIN := .venv/bin
STAMP := .venv/.installed

# A ROS distribution that the shell has set up stays out: the environment has its own rclpy, and two of them in one
# process do not work. LD_LIBRARY_PATH loses the folders of ROS only, since some machines have the GPU driver on it.
ROS_PREFIXES := $(subst :, ,$(AMENT_PREFIX_PATH))
empty :=
export LD_LIBRARY_PATH := $(subst $(empty) ,:,$(filter-out $(ROS_PREFIXES:%=%/%),$(subst :, ,$(LD_LIBRARY_PATH))))
unexport $(filter ROS_% AMENT_% COLCON_% RMW_% RCUTILS_% RCL_% FASTDDS_% FASTRTPS_% CYCLONEDDS_% \
	CMAKE_PREFIX_PATH PYTHONPATH PYTHONHOME VIRTUAL_ENV,$(.VARIABLES))
export PATH := $(CURDIR)/$(BIN):$(PATH)
# No ROS traffic of the demo and the tests leaves this machine.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST

.PHONY: demo test lint pytest venv clean

demo: $(STAMP)
	$(BIN)/night-seg demo $(if $(INPUT),"$(INPUT)")

test: lint pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pytest: $(STAMP)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

venv: $(STAMP)

# Runs again only when what the environment is made from changes. A half-made one has no stamp and gets completed.
$(STAMP): setup.py setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || \
		{ echo "night_seg_ros needs Python 3.10 to 3.14, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." \
		"Choose another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || \
		{ echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into .venv, once; with torch for CUDA it takes 6 GB"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[ros,train,test]'
	@touch $@

clean:
	rm -rf .venv build install log demo *.egg-info
