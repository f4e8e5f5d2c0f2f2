# The same names that continuous integration uses. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run samples test bench bench-gpu bench-load bench-pages bench-curves bench-soak capacity fuzz-api lint advisories models setup axe temporal schemathesis histories mutants screenshots image image-check check-deploy terraform-check

CARGO ?= cargo
OUT ?= out
# A program outside of the checkout does not find the checkout's networks by itself.
ifneq ($(CARGO_TARGET_DIR),)
export FILOT_READER_MODELS ?= $(CURDIR)/models
endif
# What the program is built with beside what it always has: `make run FEATURES=temporal`.
FEATURES ?=
BUILD = $(CARGO) build --release --package filot $(addprefix --features ,$(FEATURES))
FILOT = $(or $(CARGO_TARGET_DIR),target)/release/filot
# Seed and number of the cards that `make samples` draws.
SEED ?= 7
COUNT ?= 24

help:
	@echo "make run      start the service: API, page, reader (builds, fetches the networks first)"
	@echo "make samples  read drawn sample cards and draw what was found on them"
	@echo "make test     all tests"
	@echo "make bench    accuracy and speed on drawn cards into docs/accuracy.md; SET=DIR: on your own, printed"
	@echo "make bench-gpu  cards a second on an NVIDIA GPU into docs/gpu.md"
	@echo "make bench-load  speed of the service under load into docs/load.md"
	@echo "make bench-curves  the same against offered load, with pictures; make bench-soak  10,000 documents"
	@echo "make bench-pages  how long the pages of the desk take, into docs/load.md"
	@echo "make capacity    what a month's documents need and cost, into docs/capacity.md"
	@echo "make fuzz-api    20,000 generated requests against the description of the API"
	@echo "make mutants     switches mechanisms off, one by one: the tests have to notice (hours; can be resumed)"
	@echo "make screenshots  pictures of the console into docs/images/"
	@echo "make lint     format, clippy, licences"
	@echo "make advisories  known faults of dependencies; for a release, needs the advisory database"
	@echo "make models   fetch the networks and the ONNX Runtime library into models/"
	@echo "make image           the API's image as filot:local, with Docker or buildah"
	@echo "make check-deploy    everything in deploy/ without running it: shellcheck, hadolint, checkov, names, settings"
	@echo "make image-check     build the image without a daemon and run it as a container would (root)"
	@echo "make terraform-check apply deploy/terraform to an AWS double"
	@echo "make setup    install the Debian packages that FiLot uses"

models:
	@scripts/models.sh

axe:
	@scripts/axe.sh

temporal:
	@scripts/temporal.sh

schemathesis:
	@scripts/schemathesis.sh --install

# After an intended change of a workflow that no running one can follow (see crates/filot-temporal/tests/replay.rs).
histories: temporal
	$(CARGO) test --package filot --features temporal --test it -- --ignored --exact temporal::histories::record

run: setup models
	$(BUILD)
	$(FILOT) serve

samples: setup models
	$(BUILD)
	@rm -rf $(OUT)/samples $(OUT)/annotated
	$(FILOT) sample --count $(COUNT) --seed $(SEED) --out $(OUT)/samples
	@# The status of scan tells that some of the drawn cards need a person or are rejected: as they should be.
	@$(FILOT) scan --format table --annotate $(OUT)/annotated $(OUT)/samples || [ $$? -le 2 ]
	@echo
	@echo "Pictures with everything that was found: $(OUT)/annotated"
	@echo "Your own: $(FILOT) scan --annotate $(OUT)/annotated PHOTO.jpg"

# Most tests wait for servers and clocks: half as many again as there are cores run at a time.
test: setup models axe temporal schemathesis
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		threads=$$(nproc); \
		$(CARGO) nextest run --workspace --features filot/temporal --test-threads $$((threads + threads / 2)); \
	else \
		$(CARGO) test --workspace --features filot/temporal; \
	fi

bench: models
	$(BUILD)
	$(FILOT) bench $(if $(SET),--set $(SET),--report docs/accuracy.md)

bench-gpu: models
	$(BUILD)
	@test -f models-gpu/libonnxruntime.so || scripts/gpu-runtime.sh models-gpu
	FILOT_READER_LIBRARY=$(CURDIR)/models-gpu/libonnxruntime.so $(FILOT) bench-gpu --report docs/gpu.md

bench-load: models
	$(BUILD)
	@scripts/load.sh

bench-pages: models
	$(BUILD)
	@python3 scripts/pages.py $(FILOT) docs/load.md

bench-curves bench-soak: models
	$(BUILD)
	@for what in $(if $(filter bench-soak,$@),soak,scripted real); do \
		python3 scripts/curves.py $$what $(FILOT) docs/load.md || exit 1; \
	done

capacity: models
	$(BUILD)
	@python3 scripts/capacity.py $(FILOT) docs/capacity.md

fuzz-api: models
	$(BUILD)
	@scripts/schemathesis.sh

# Switches mechanisms off, one at a time, and expects the tests named in scripts/mutants.toml to fail.
mutants: setup models
	@python3 scripts/mutants.py

screenshots: setup models axe
	$(CARGO) test --package filot --test it -- --ignored --exact browser::screenshots pages::screenshots

image: models
	$(BUILD)
	@scripts/build-image.sh api filot:local

check-deploy:
	$(BUILD)
	@scripts/check-deploy.sh

image-check: models
	$(BUILD)
	@scripts/image-check.sh

terraform-check:
	$(BUILD) --features temporal
	@scripts/terraform-check.sh

lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --features filot/temporal -- -D warnings
	@scripts/deny.sh

# For a release, on a machine that reaches the advisory database or with ADVISORY_DB=FOLDER, a fresh checkout of it.
advisories:
	@scripts/deny.sh --advisories

setup:
	@scripts/setup-debian.sh
