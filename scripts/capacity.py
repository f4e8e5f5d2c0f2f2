"""Measures what one document costs on this machine and works out what 1, 10 and 100 million a month need.

Usage: capacity.py FILOT REPORT

Everything that is not measured stands in ASSUMED: prices, the shape of the day, what a rented processor is worth.
Change it to yours and run it again.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from load_kit import Postgres, Service, cpu_seconds, memory_mib, uploads

# name: (value, what it is)
ASSUMED = {
    "peak": (3.0, "documents in the busiest minutes, as a multiple of the month's mean"),
    "busy": (0.6, "share of its processors that an instance may use in the busiest minutes; the rest is for the loss of one"),
    "vcpu": (0.5, "what a rented vCPU (one of two threads of a core) reads, as a share of a core of the measured machine"),
    "review": (0.10, "share of documents that go to people; each is looked at with its photo"),
    "looks": (4.0, "times that a client asks for a document"),
    "kept": (12.0, "months that documents and files are kept"),
    "photo_mb": (1.5, "mean size of a photo as customers send it, MB"),
    "waiting_min": (60.0, "minutes of the busiest load that the queue must be able to hold, for outages of the readers"),
    "vcpu_hour": (0.0486, "price of a vCPU hour, US$ (Fargate, ap-southeast)"),
    "gb_hour": (0.0053, "price of a GB of memory an hour, US$ (Fargate, ap-southeast)"),
    "db_vcpu_hour": (0.115, "price of a vCPU hour of PostgreSQL with its memory, two zones, US$"),
    "db_gb_month": (0.276, "price of a GB of database disk a month, two zones, US$"),
    "redis_gb_hour": (0.034, "price of a GB of Redis an hour, two nodes, US$"),
    "redis_least_gb": (0.5, "smallest Redis that is for rent, GB"),
    "file_gb_month": (0.015, "price of a GB of files a month, US$ (R2; no charge for traffic)"),
    "file_write_million": (4.50, "price of a million writes of files, US$"),
    "file_read_million": (0.36, "price of a million reads of files, US$"),
    "balancer_month": (25.0, "load balancer, US$ a month, before traffic"),
}
HOURS = 730
CORES_OF_AN_INSTANCE, GB_OF_AN_INSTANCE = 2, 4
VOLUMES = (1, 10, 100)


def value(name):
    return ASSUMED[name][0]


def measure(program, work):
    """Processor time, rows and bytes of one document, with the real reader and real photos."""
    samples = work / "samples"
    subprocess.run([program, "sample", "--count", "120", "--seed", "11", "--out", samples], check=True)
    photos = [photo.read_bytes() for photo in sorted(samples.glob("*.jpg"))]
    (work / "postgres").mkdir()
    postgres = Postgres(work / "postgres")
    service = Service(program, work / "data", ["--no-worker"], DATABASE_URL=postgres.url)
    service.work(2)
    for photo in photos[:4]:
        service.upload(photo, wait=25)
    service.drain()
    size = lambda: int(subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "filot", "-Atc",
                                       "VACUUM FULL", "-c", "SELECT pg_database_size('postgres')", "postgres"],
                                      check=True, capture_output=True, text=True).stdout.split()[-1])
    processes = {"API": [service.process.pid], "reader": [worker.pid for worker in service.workers],
                 "PostgreSQL": [postgres.process.pid]}
    spent = lambda: {name: sum(map(cpu_seconds, pids)) for name, pids in processes.items()}
    bytes_before, before = size(), spent()
    uploads(service, iter(photos[4:]), 2.0, len(photos[4:]) / 2.0)
    service.drain()
    after = spent()
    count = len(photos) - 4
    cost = {name: (after[name] - before[name]) / count for name in before}
    looked = spent()
    token = {"Authorization": f"Bearer {service.token}"}
    document = json.loads(service.ask("GET", "/documents?limit=1", headers=token)[1])["documents"][0]["id"]
    for _ in range(500):
        service.ask("GET", f"/documents/{document}", headers=token)
    look = {name: (spent()[name] - looked[name]) / 500 for name in looked}
    found = {
        "cpu": cost, "look": look, "row_bytes": (size() - bytes_before) / count,
        "photo_bytes": sum(map(len, photos)) / len(photos),
        "reader_mib": max(memory_mib(worker.pid) for worker in service.workers), "api_mib": memory_mib(service.process.pid),
    }
    service.stop()
    postgres.stop()
    return found


def need(million, found):
    """What so many million documents a month need, and what that costs in US$ a month."""
    mean = million * 1e6 / (HOURS * 3600)
    peak = mean * value("peak")
    api_cpu = found["cpu"]["API"] + value("looks") * found["look"]["API"]
    cores = peak * (api_cpu + found["cpu"]["reader"]) / value("busy") / value("vcpu")
    instances = max(2, math.ceil(cores / CORES_OF_AN_INSTANCE))
    db_cpu = found["cpu"]["PostgreSQL"] + value("looks") * found["look"]["PostgreSQL"]
    db_cores = max(2, 2 ** math.ceil(math.log2(max(1, peak * db_cpu / value("busy") / value("vcpu")))))
    db_gb = million * 1e6 * found["row_bytes"] * value("kept") / 1e9
    waiting = peak * 60 * value("waiting_min")
    # Ids of 36 bytes in five structures, each with what Redis needs for it.
    redis_gb = max(value("redis_least_gb"), waiting * 600 / 1e9 * 1.5)
    files_gb = million * 1e6 * value("photo_mb") * value("kept") / 1e3
    reads = million * (1 + value("review"))
    cost = {
        "instances": instances * HOURS * (CORES_OF_AN_INSTANCE * value("vcpu_hour") + GB_OF_AN_INSTANCE * value("gb_hour")),
        "PostgreSQL": db_cores * HOURS * value("db_vcpu_hour") + db_gb * value("db_gb_month"),
        "Redis": redis_gb * HOURS * value("redis_gb_hour"),
        "files": files_gb * value("file_gb_month") + million * value("file_write_million") + reads * value("file_read_million"),
        "load balancer": value("balancer_month"),
    }
    return {"mean": mean, "peak": peak, "cores": cores, "instances": instances, "db_cores": db_cores, "db_gb": db_gb,
            "waiting": waiting, "redis_gb": redis_gb, "files_gb": files_gb, "cost": cost, "million": million}


def page(found):
    needs = [need(million, found) for million in VOLUMES]
    cpu, look = found["cpu"], found["look"]
    row = lambda name, show: f"| {name} | " + " | ".join(show(n) for n in needs) + " |\n"
    one = needs[0]
    text = f"""# What a month's documents need

Written by `make capacity`; do not edit. What one document costs was measured on a machine with {os.cpu_count()} cores; everything
else is assumed and stands at the top of [scripts/capacity.py](../scripts/capacity.py) and below: put in your own numbers and
run it again. Readers run on processors here, in the instances of the API (`worker.embedded`). GPU workers read more for
the money at large volumes; what one reads has to be measured on it (`make bench-gpu`) and is not guessed here.

| | {" | ".join(f"{n['million']} million a month" for n in needs)} |
|---|{"---:|" * len(needs)}
"""
    text += row("documents a second: mean", lambda n: f"{n['mean']:.2f}")
    text += row("documents a second: busiest", lambda n: f"{n['peak']:.1f}")
    text += row(f"instances of {CORES_OF_AN_INSTANCE} vCPU and {GB_OF_AN_INSTANCE} GB that read", lambda n: f"{n['instances']}")
    text += row("PostgreSQL: vCPU", lambda n: f"{n['db_cores']}")
    text += row(f"PostgreSQL: disk after {value('kept'):g} months", lambda n: f"{n['db_gb']:,.0f} GB")
    text += row(f"documents in line after {value('waiting_min'):g} min without readers", lambda n: f"{n['waiting']:,.0f}")
    text += row("Redis", lambda n: f"{n['redis_gb']:.1f} GB")
    text += row(f"files after {value('kept'):g} months", lambda n: f"{n['files_gb']:,.0f} GB")
    for name in one["cost"]:
        text += row(f"US$ a month: {name}", lambda n: f"{n['cost'][name]:,.0f}")
    text += row("**US$ a month**", lambda n: f"**{sum(n['cost'].values()):,.0f}**")
    text += row("**US$ for 1,000 documents**", lambda n: f"**{sum(n['cost'].values()) / n['million'] / 1000:.3f}**")
    text += f"""
## Measured

116 drawn photos ({found['photo_bytes'] / 1e6:.2f} MB each on average) through `filot serve --no-worker`, two `filot worker`
processes and PostgreSQL; processor time from the system's own account of each process.

| | a document | a look at it |
|---|---:|---:|
| API, processor time | {1000 * cpu['API']:.1f} ms | {1000 * look['API']:.2f} ms |
| reader, processor time | {1000 * cpu['reader']:.0f} ms | |
| PostgreSQL, processor time | {1000 * cpu['PostgreSQL']:.1f} ms | {1000 * look['PostgreSQL']:.2f} ms |
| PostgreSQL, rows with indexes | {found['row_bytes'] / 1000:.1f} kB | |

A worker holds {found['reader_mib']:.0f} MiB, the API {found['api_mib']:.0f} MiB.

## The arithmetic, for {one['million']} million

- mean = {one['million']},000,000 / ({HOURS} h × 3,600 s) = {one['mean']:.3f} a second; busiest = mean × {value('peak'):g} = {one['peak']:.2f} a second
- vCPU = busiest × (API {1000 * cpu['API']:.1f} ms + {value('looks'):g} looks × {1000 * look['API']:.2f} ms + reader {1000 * cpu['reader']:.0f} ms) / {value('busy'):g} / {value('vcpu'):g} = {one['cores']:.1f};
  instances = vCPU / {CORES_OF_AN_INSTANCE}, at least 2 = {one['instances']}
- PostgreSQL's vCPU = busiest × ({1000 * cpu['PostgreSQL']:.1f} ms + {value('looks'):g} × {1000 * look['PostgreSQL']:.2f} ms) / {value('busy'):g} / {value('vcpu'):g}, up to a power of two, at least 2 = {one['db_cores']}
- its disk = documents × {found['row_bytes'] / 1000:.1f} kB × {value('kept'):g} months = {one['db_gb']:,.0f} GB
- in line = busiest × 60 s × {value('waiting_min'):g} = {one['waiting']:,.0f}; Redis = in line × 600 B × 1.5, at least {value('redis_least_gb'):g} GB
- files = documents × {value('photo_mb'):g} MB × {value('kept'):g} months = {one['files_gb']:,.0f} GB
- instances cost {one['instances']} × {HOURS} h × ({CORES_OF_AN_INSTANCE} × {value('vcpu_hour')} + {GB_OF_AN_INSTANCE} × {value('gb_hour')}) = US$ {one['cost']['instances']:,.0f}; the others likewise

## Assumed

| | |
|---:|---|
"""
    return text + "".join(f"| {amount:g} | {what} |\n" for amount, what in ASSUMED.values())


if __name__ == "__main__":
    program, report = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        report.write_text(page(measure(program, folder)))
    print(report.read_text())
