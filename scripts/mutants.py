#!/usr/bin/env python3
"""Switches mechanisms off and expects a test to fail for each.

    scripts/mutants.py [--list | --check] [--again] [--alone] [NAME …]

The mechanisms stand in scripts/mutants.toml: a file, a piece of its text that occurs there once, what takes its place,
and the tests (a nextest filter) of which at least one has to fail. Mutants of different files whose tests are in
different modules are built together, since building takes longest; --alone builds each by itself, which leaves no doubt
whose fault a failure is. Results are kept in the target folder, so a run that was interrupted goes on where it stopped;
--again forgets those of the chosen, NAMEs choose by parts of names. --check only looks whether every piece of text is still there. The
source is put back whatever happens; files with changes of their own are not touched. CARGO names another cargo.

Exit status: 0 when every mutant was caught, 1 when one survived or could not be tried.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
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
# So many mutants at most share a build; more of them would cover for each other.
TOGETHER = 8


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
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


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


def areas(mutant):
    """The test modules that a mutant's filter names."""
    return set(re.findall(r"[a-z_0-9]+(?=::)", mutant["tests"])) - {"sqlite", "postgres"}


def groups(mutants, alone):
    """Mutants that can be built together: no two of one file, no two whose tests are in one module."""
    made = []
    for mutant in mutants:
        fits = (group for group in made
                if not alone and len(group) < TOGETHER and all(m["file"] != mutant["file"] and not areas(m) & areas(mutant) for m in group))
        group = next(fits, None)
        if group is None:
            made.append([mutant])
        else:
            group.append(mutant)
    return made


@contextlib.contextmanager
def mutated(group):
    """The source with these mutants in it."""
    originals = {m["file"]: (ROOT / m["file"]).read_text() for m in group}
    try:
        for m in group:
            (ROOT / m["file"]).write_text(originals[m["file"]].replace(m["find"], m["replace"]))
        yield
    finally:
        for name, text in originals.items():
            (ROOT / name).write_text(text)


def attempt(group):
    """Tries mutants in one build; for each its name, and caught, survived, or why it could not be tried."""
    features = ["--workspace", "--features", "filot/temporal"]
    with mutated(group):
        status, said = cargo("nextest", "run", "--no-run", *features)
        if status != 0 and len(group) > 1:
            status = "apart"
        elif status != 0:
            yield group[0], "does not build", said[-3000:]
        else:
            for mutant in group:
                status, said = cargo("nextest", "run", *features, "--max-fail", "1", "--retries", "0",
                                     "--filterset", mutant["tests"], limit=LIMIT)
                result = "names no test" if status == 4 else "survived" if status == 0 else "caught"
                yield mutant, result, said
    if status == "apart":
        for mutant in group:
            yield from attempt([mutant])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--alone", action="store_true")
    options = parser.parse_args()
    # An end by a signal puts the source back, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
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
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    if options.again:
        for mutant in chosen:
            known.pop(mutant["name"], None)
    left = []
    for mutant in chosen:
        identity = hashlib.sha256(json.dumps(mutant, sort_keys=True).encode()).hexdigest()
        mutant["of"] = identity
        if known.get(mutant["name"], {}).get("of") == identity and known[mutant["name"]]["result"] in ("caught", "survived"):
            continue
        why = problem(mutant) or ("its file has changes of its own" if is_changed(mutant["file"]) else None)
        if why:
            known[mutant["name"]] = {"of": identity, "result": why}
            print(f"{why:10} {mutant['name']}", flush=True)
        else:
            left.append(mutant)
    start = time.monotonic()
    for mutant, result, said in (tried for group in groups(left, options.alone) for tried in attempt(group)):
        failed = re.search(r"^ +(?:FAIL|TIMEOUT|SIG\w+) .*? (\S+)$", said, re.MULTILINE)
        by = failed.group(1) if failed else ""
        known[mutant["name"]] = {"of": mutant["of"], "result": result, "by": by}
        target.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known, indent=1))
        print(f"{result:10} {mutant['name']} ({time.monotonic() - start:.0f} s) {by}", flush=True)
        if result != "caught":
            print(said[-3000:], flush=True)
        start = time.monotonic()
    bad = [m["name"] for m in chosen if known[m["name"]]["result"] != "caught"]
    print(f"{len(chosen) - len(bad)} of {len(chosen)} mutants caught" + "".join(f"\n  not: {name}" for name in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
