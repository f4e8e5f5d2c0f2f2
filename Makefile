# The same names that continuous integration uses. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test bench lint models setup

CARGO ?= cargo
OUT ?= out
# Seed and number of the cards that `make run` draws.
SEED ?= 7
COUNT ?= 24

help:
	@echo "make run      read drawn sample cards and show what was found (builds, fetches the networks first)"
	@echo "make test     all tests"
	@echo "make bench    accuracy and speed on drawn cards into docs/accuracy.md; SET=DIR: on your own, printed"
	@echo "make lint     format, clippy, licences"
	@echo "make models   fetch the networks and the ONNX Runtime library into models/"
	@echo "make setup    install the Debian packages that FiLot uses"

models:
	@scripts/models.sh

run: models
	$(CARGO) build --release --package filot
	@rm -rf $(OUT)/samples $(OUT)/annotated
	target/release/filot sample --count $(COUNT) --seed $(SEED) --out $(OUT)/samples
	@# The status of scan tells that some of the drawn cards need a person or are rejected: as they should be.
	@target/release/filot scan --format table --annotate $(OUT)/annotated $(OUT)/samples || [ $$? -le 2 ]
	@echo
	@echo "Pictures with everything that was found: $(OUT)/annotated"
	@echo "Your own: target/release/filot scan --annotate $(OUT)/annotated PHOTO.jpg"

test: models
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --workspace; \
	else \
		$(CARGO) test --workspace; \
	fi

bench: models
	$(CARGO) build --release --package filot
	target/release/filot bench $(if $(SET),--set $(SET),--report docs/accuracy.md)

lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny check licenses bans sources; \
	else \
		echo "cargo-deny is not installed: licences not checked (cargo install cargo-deny)"; \
	fi

setup:
	@scripts/setup-debian.sh
