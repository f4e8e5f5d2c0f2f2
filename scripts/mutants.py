#!/usr/bin/env python3
"""Switches mechanisms off, one at a time, and expects a test to fail for each.

    scripts/mutants.py [--list | --check] [--again] [NAME …]

The mechanisms stand in scripts/mutants.toml: a file, a piece of its text that occurs there once, what takes its place,
and the tests (a nextest filter) of which at least one has to fail. Results are kept in the target folder, so a run that
was interrupted goes on where it stopped; --again forgets them, NAMEs choose by parts of names. --check only looks
whether every piece of text is still there. The source is put back whatever happens; files with changes of their own are
not touched. CARGO names another cargo.

Exit status: 0 when every mutant was caught, 1 when one survived or could not be tried.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "scripts" / "mutants.toml"
# Longest time for the tests of one mutant, in seconds: a mutant may make them hang, which is noticed, too.
LIMIT = 600


def cargo(*arguments, limit=None):
    """Runs cargo; its status and what it said, or None for the status when it took too long."""
    command = [*shlex.split(os.environ.get("CARGO", "cargo")), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        said, _ = process.communicate(timeout=limit)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return None, said


def problem(mutant):
    """Why a mutant cannot be tried, or None."""
    path = ROOT / mutant["file"]
    if not path.is_file():
        return f"{mutant['file']} is not there"
    count = path.read_text().count(mutant["find"])
    return None if count == 1 else f"its text occurs {count} times in {mutant['file']}"


def is_changed(path):
    ended = subprocess.run(["git", "status", "--porcelain", "--", path], cwd=ROOT, capture_output=True, text=True)
    return bool(ended.stdout.strip())


def attempt(mutant):
    """Tries one: caught, survived, or why it could not be tried."""
    features = ["--workspace", "--features", "filot/temporal"]
    path = ROOT / mutant["file"]
    original = path.read_text()
    try:
        path.write_text(original.replace(mutant["find"], mutant["replace"]))
        status, said = cargo("nextest", "run", "--no-run", *features)
        if status != 0:
            return "does not build", said[-3000:]
        status, said = cargo("nextest", "run", *features, "--no-fail-fast", "--retries", "0",
                             "--filterset", mutant["tests"], limit=LIMIT)
        if status == 4:
            return "names no test", said[-1000:]
        return ("survived" if status == 0 else "caught"), said[-3000:]
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    mutants = tomllib.loads(LIST.read_text())["mutant"]
    chosen = [m for m in mutants if not options.names or any(name in m["name"] for name in options.names)]
    if options.list:
        print("\n".join(f"{m['name']}: {m['tests']}" for m in chosen))
        return 0
    stale = [f"{m['name']}: {why}" for m in chosen if (why := problem(m))]
    if options.check or stale:
        print("\n".join(stale) or f"{len(chosen)} mutants fit the source")
        if options.check:
            return 1 if stale else 0
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    kept = target / "mutants.json"
    known = {} if options.again or not kept.is_file() else json.loads(kept.read_text())
    for mutant in chosen:
        name = mutant["name"]
        identity = hashlib.sha256(json.dumps(mutant, sort_keys=True).encode()).hexdigest()
        if known.get(name, {}).get("of") == identity and known[name]["result"] in ("caught", "survived"):
            continue
        start = time.monotonic()
        why = problem(mutant) or ("its file has changes of its own" if is_changed(mutant["file"]) else None)
        result, said = (why, "") if why else attempt(mutant)
        known[name] = {"of": identity, "result": result}
        target.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known, indent=1))
        print(f"{result:10} {name} ({time.monotonic() - start:.0f} s)", flush=True)
        if result != "caught" and said:
            print(said, flush=True)
    bad = [m["name"] for m in chosen if known[m["name"]]["result"] != "caught"]
    print(f"{len(chosen) - len(bad)} of {len(chosen)} mutants caught" + "".join(f"\n  not: {name}" for name in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
