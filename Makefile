# make demo | evidence-small | test | lint | clean. The first use makes the environment; scripts/setup.sh lists its settings.
SHELL := /bin/sh
export VENV ?= .venv
export DEMO_BAG ?=
export ROS_LOG_DIR ?= $(CURDIR)/out/ros_log
ifdef _ROS_WHEELS_BOOTSTRAP_COMPLETE # called from the Python of another environment of this kind
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE AMENT_PREFIX_PATH LD_LIBRARY_PATH
endif

READY := $(VENV)/.ready
INPUTS := constraints.txt package.xml scripts/setup.sh setup.cfg setup.py ros_wheels/build_messages.py \
          ros_wheels/requirements.txt $(wildcard ros_wheels/messages/*/* ros_wheels/messages/*/*/*)

.PHONY: demo evidence-small test lint clean
demo: $(READY)
	$(VENV)/bin/clip2scene demo --out out/demo $${DEMO_BAG:+--bag "$$DEMO_BAG"}

# The reduced ablation, in less than 20 minutes on two CPU cores; fails unless its claims hold.
evidence-small: $(READY)
	$(VENV)/bin/clip2scene evidence out/evidence_small --config config/evidence_small.yaml --workers 2 --check

test: $(READY)
	$(VENV)/bin/python -m pytest

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) out build install log *.egg-info ros_wheels/src/*.egg-info

$(READY): $(INPUTS)
	scripts/setup.sh
