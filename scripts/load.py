"""Starts FiLot and what it needs on free loopback ports, puts bounded load on it and writes what it measured.

Usage: load.py FILOT REPORT
"""

import itertools
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from load_kit import Postgres, Service, machine, memory_mib, percentile, uploads, write_section

# Of one load, for the median: machines that are shared vary.
RUNS = 5


def reads(service, seconds):
    """wrk -c32 on one document: answers per second and the 99th percentile in ms, medians of several runs."""
    document = service.upload(pathlib.Path(next(iter(sorted(SAMPLES.glob("*.jpg"))))).read_bytes(), wait=25)
    url = f"http://127.0.0.1:{service.port}/documents/{document['documentId']}"
    runs = [wrk(service, url, seconds) for _ in range(RUNS)]
    return [statistics.median(run[value] for run in runs) for value in (0, 1)]


def wrk(service, url, seconds):
    """One run of it, with 32 connections."""
    out = subprocess.run(["wrk", "-t2", "-c32", f"-d{seconds}s", "--latency", "-H",
                          f"Authorization: Bearer {service.token}", url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"load: not all answers were good:\n{out}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def verdicts(service, photos):
    """Milliseconds from sending a photo to its verdict, one at a time, and what of it was the reader's."""
    whole, reader = [], []
    for photo in photos:
        start = time.monotonic()
        document = service.upload(photo.read_bytes(), wait=25)["document"]
        whole.append((time.monotonic() - start) * 1000)
        status, body = service.ask("GET", f"/documents/{document['id']}", headers={"Authorization": f"Bearer {service.token}"})
        reader.append(json.loads(body)["readingMs"])
    return whole, reader


def drained(service, photos):
    """Documents per second from the first upload to the last verdict."""
    start = time.monotonic()
    ids = [service.upload(photo.read_bytes())["documentId"] for photo in photos]
    for document in ids:
        while True:
            status, body = service.ask("GET", f"/documents/{document}", headers={"Authorization": f"Bearer {service.token}"})
            if json.loads(body)["status"] in ("completed", "failed"):
                break
            time.sleep(0.02)
    return len(ids) / (time.monotonic() - start)


def bare(program, photos):
    """Documents per second of `filot scan` on the same photos, start of the program included."""
    start = time.monotonic()
    subprocess.run([program, "scan", "--type", "ktp", "--format", "ndjson", "--quiet", *photos], stdout=subprocess.DEVNULL)
    return len(photos) / (time.monotonic() - start)


def one_megabyte(jpeg):
    """The photo, lengthened to 1 MB by comments, which every decoder skips."""
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    lacking = max(0, 1_000_000 - len(jpeg))
    return jpeg[:2] + comment * (lacking // len(comment) + 1) + jpeg[2:]


if __name__ == "__main__":
    PROGRAM, REPORT = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        work.chmod(0o755)
        SAMPLES = work / "samples"
        subprocess.run([PROGRAM, "sample", "--count", "60", "--seed", "5", "--out", SAMPLES], check=True)
        truth = [json.loads(line) for line in (SAMPLES / "truth.jsonl").read_text().splitlines()]
        photos = [SAMPLES / card["file"] for card in truth if card["declared"] == "ktp"][:40]
        rows = []
        (work / "postgres").mkdir()
        postgres = Postgres(work / "postgres")
        service = Service(PROGRAM, work / "pg", DATABASE_URL=postgres.url)
        rate, p99 = reads(service, 5)
        rows.append((f"`GET /documents/{{id}}`, PostgreSQL, `wrk -c32`, median of {RUNS} runs", f"{rate:,.0f} a second, p99 {p99:.1f} ms"))
        service.stop()
        postgres.stop()
        service = Service(PROGRAM, work / "embedded")
        rows.append(("start to ready, embedded", f"{service.seconds_to_ready:.2f} s"))
        rows.append(("idle memory of API and worker, networks loaded", f"{memory_mib(service.process.pid):.0f} MiB"))
        rate, p99 = reads(service, 5)
        rows.append((f"`GET /documents/{{id}}`, SQLite, `wrk -c32`, median of {RUNS} runs", f"{rate:,.0f} a second, p99 {p99:.1f} ms"))
        whole, reader = verdicts(service, photos)
        extra = [w - r for w, r in zip(whole, reader)]
        rows.append(("upload to verdict, empty queue", f"median {statistics.median(whole):.0f} ms, 95 % below "
                     f"{percentile(whole, 0.95):.0f} ms; beyond the reader's own time: median "
                     f"{statistics.median(extra):.0f} ms, 95 % below {percentile(extra, 0.95):.0f} ms"))
        service_rate, bare_rate = drained(service, photos), bare(PROGRAM, photos)
        rows.append(("documents a second, upload to verdict", f"{service_rate:.2f}; `filot scan` alone {bare_rate:.2f} "
                     f"(ratio {service_rate / bare_rate:.2f})"))
        service.stop()
        service = Service(PROGRAM, work / "acknowledged")
        took = uploads(service, itertools.repeat(one_megabyte(photos[0].read_bytes())), 20, 15)
        rows.append(("upload of 1 MB acknowledged, 20 a second for 15 s, reading meanwhile",
                     f"median {statistics.median(took):.0f} ms, 95 % below {percentile(took, 0.95):.0f} ms"))
        service.stop()
    write_section(REPORT, "In short", f"{machine()} The load average was {os.getloadavg()[1]:.1f}.\n\n"
                  "| what | measured |\n|---|---|\n" + "".join(f"| {what} | {value} |\n" for what, value in rows))
    print(REPORT.read_text())
