"""Draws how the service behaves as more is asked of it: documents per second and time to the verdict against offered
load, for one, two and four readers; or runs a soak.

Usage: curves.py curves|soak FILOT REPORT
"""

import itertools
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from load_kit import (Postgres, Service, cpu_seconds, machine, memory_mib, percentile, scripted_card, uploads,
                      write_section)

WORKERS = (1, 2, 4)
COLOURS = ("#0b6e99", "#b3541e", "#4b7f2b")
# How long the scripted reader takes for a document: one such reader reads ten a second, whatever the machine.
SCRIPTED_MS = 100
SCRIPTED_RATES = (2, 5, 8, 10, 15, 20, 25, 30, 40, 50)
REAL_RATES = (0.5, 1, 1.5, 2, 3, 4, 6)
SECONDS = 12


class Point:
    """What one offered load led to."""

    def __init__(self, offered, documents, acknowledged, begin, seconds):
        self.offered = offered
        inside = [read for _, read, _ in documents if read and read < begin + seconds]
        # Until the first verdict there can be none, so that time is no part of the rate.
        self.rate = len(inside) / seconds
        # In milliseconds; of all documents, those included that were still waiting at the end.
        self.verdict = [1000 * (read - came) for came, read, _ in documents]
        self.median, self.p95 = percentile(self.verdict, 0.5), percentile(self.verdict, 0.95)
        self.acknowledged = percentile(acknowledged, 0.95)


def measure(service, rates, cards):
    """One point for each rate, each with the queue empty at its start."""
    points = []
    for rate in rates:
        service.join()
        begin = time.time()
        acknowledged = uploads(service, cards, rate, SECONDS)
        service.drain()
        documents = service.documents()
        if any(status != "completed" and status != "failed" for _, _, status in documents):
            sys.exit("a document was not read")
        points.append(Point(rate, documents, acknowledged, begin, SECONDS))
        print(f"  {rate}/s: {points[-1].rate:.1f} documents/s, p95 {points[-1].p95:.0f} ms, "
              f"acknowledged p95 {points[-1].acknowledged:.0f} ms", file=sys.stderr)
        # Far beyond what it can do there is nothing to learn.
        if points[-1].p95 > 1000 * SECONDS / 3 and points[-1].rate < rate / 1.8:
            break
    return points


def picture(path, title, series, value, label, logarithmic=False):
    """A line for each number of workers as SVG, on white, readable in black and white by its marks."""
    wide, high, left, bottom, top, right = 640, 360, 70, 50, 40, 110
    xs = [point.offered for _, points in series for point in points]
    ys = [value(point) for _, points in series for point in points]
    end = max(xs) * 1.05
    if logarithmic:
        low, peak = 10 ** math.floor(math.log10(max(1, min(ys)))), 10 ** math.ceil(math.log10(max(ys)))
        ticks = [10 ** n for n in range(round(math.log10(low)), round(math.log10(peak)) + 1)]
        share = lambda y: (math.log10(max(y, low)) - math.log10(low)) / (math.log10(peak) - math.log10(low))
    else:
        step = 10 ** math.floor(math.log10(max(ys)))
        step = step / 2 if max(ys) / step < 2.5 else step
        peak = step * math.ceil(max(ys) * 1.02 / step)
        ticks = [step * n for n in range(round(peak / step) + 1)]
        share = lambda y: y / peak
    x = lambda value: left + (wide - left - right) * value / end
    y = lambda value: high - bottom - (high - bottom - top) * share(value)
    text = 'font-family="sans-serif" font-size="12" fill="#222"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" aria-label="{title}">',
           f'<rect width="{wide}" height="{high}" fill="#fff"/>',
           f'<text x="{left}" y="22" {text} font-weight="bold">{title}</text>']
    for tick in ticks:
        out.append(f'<line x1="{left}" x2="{wide - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" {text}>{tick:,g}</text>')
    step = 10 ** math.floor(math.log10(end))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if end / s <= 8)
    for n in range(int(end / step) + 1):
        out.append(f'<text x="{x(n * step):.1f}" y="{high - bottom + 18}" text-anchor="middle" {text}>{n * step:g}</text>')
    out.append(f'<text x="{(left + wide - right) / 2}" y="{high - 12}" text-anchor="middle" {text}>documents offered a second</text>')
    out.append(f'<text transform="translate(16 {(high - bottom + top) / 2}) rotate(-90)" text-anchor="middle" {text}>{label}</text>')
    marks = ('<circle cx="{x}" cy="{y}" r="4" fill="{c}"/>',
             '<rect x="{a}" y="{b}" width="8" height="8" fill="{c}"/>',
             '<path d="M{x} {t}l5 9h-10z" fill="{c}"/>')
    for (name, points), colour, mark, place in zip(series, COLOURS, marks, itertools.count()):
        at = [(x(point.offered), y(value(point))) for point in points]
        out.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        legend = (wide - right + 20, top + 20 + 22 * place)
        for a, b in [*at, legend]:
            out.append(mark.format(x=f"{a:.1f}", y=f"{b:.1f}", a=f"{a - 4:.1f}", b=f"{b - 4:.1f}", t=f"{b - 6:.1f}", c=colour))
        out.append(f'<text x="{legend[0] + 12}" y="{legend[1] + 4}" {text}>{name}</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def rows(series):
    out = "| readers | offered a second | read a second | to the verdict: median | 95 % below | acknowledged: 95 % below |\n|---:|---:|---:|---:|---:|---:|\n"
    for name, points in series:
        for p in points:
            out += (f"| {name.split()[0]} | {p.offered:g} | {p.rate:.1f} | {p.median:,.0f} ms | {p.p95:,.0f} ms | "
                    f"{p.acknowledged:,.0f} ms |\n")
    return out


def curves(program, report, work):
    series = {}
    photos = drawn(program, work)
    real = itertools.cycle([photo.read_bytes() for photo in photos])
    for kind, arguments, rates, cards in (
        ("scripted", ["--no-worker", "--scripted"], SCRIPTED_RATES, map(lambda n: scripted_card(n, SCRIPTED_MS), itertools.count())),
        ("real", ["--no-worker"], REAL_RATES, real),
    ):
        series[kind] = []
        for workers in WORKERS:
            print(f"{kind} reader, {workers} processes", file=sys.stderr)
            folder = work / f"{kind}{workers}"
            (folder / "postgres").mkdir(parents=True)
            postgres = Postgres(folder / "postgres")
            service = Service(program, folder / "data", arguments, DATABASE_URL=postgres.url)
            service.work(workers)
            warm = [service.upload(next(cards), wait=25) for _ in range(2 * workers)]
            assert warm
            points = measure(service, rates, cards)
            series[kind].append((f"{workers} reader{'s' if workers > 1 else ''}", points))
            service.stop()
            postgres.stop()
    images = report.parent / "images"
    for kind, title in (("scripted", f"A scripted reader of {SCRIPTED_MS} ms"), ("real", f"The real reader on {os.cpu_count()} cores")):
        picture(images / f"load-{kind}-rate.svg", f"{title}: documents a second", series[kind], lambda p: p.rate, "documents read a second")
        picture(images / f"load-{kind}-p95.svg", f"{title}: upload to verdict, 95 % below", series[kind], lambda p: p.p95, "ms", True)
    best = max(p.rate for _, points in series["real"] for p in points)
    write_section(report, "Load curves", f"""{machine()} PostgreSQL, a folder for files, `filot serve --no-worker` and one,
two or four `filot worker` processes that read one document at a time. Documents come at a fixed rate for {SECONDS} s, whatever
the answers, into an empty queue; "read a second" counts those read within that time, the times are of all of them.

With a reader that only sleeps for {SCRIPTED_MS} ms the machine is not the limit: twice the readers read twice as much, and until
they are busy all the time a document waits for nothing.

![Documents a second, scripted](images/load-scripted-rate.svg)
![Time to the verdict, scripted](images/load-scripted-p95.svg)

{rows(series["scripted"])}
With the real reader the cores are. More readers than cores gain nothing; what is offered beyond {best:.1f} documents a second
waits in line, and is acknowledged all the same.

![Documents a second, real](images/load-real-rate.svg)
![Time to the verdict, real](images/load-real-p95.svg)

{rows(series["real"])}""")


def drawn(program, work):
    samples = work / "samples"
    subprocess.run([program, "sample", "--count", "60", "--seed", "5", "--out", samples], check=True)
    return sorted(samples.glob("*.jpg"))[:40]


def soak(program, report, work, documents=10_000, step=500, clients=8):
    """Documents through API and worker with the scripted reader, and what it costs in time, memory and processor."""
    (work / "postgres").mkdir()
    postgres = Postgres(work / "postgres")
    service = Service(program, work / "data", ["--no-worker", "--scripted"], DATABASE_URL=postgres.url)
    service.work(1)
    parts = {"API": service.process.pid, "worker": service.workers[0].pid, "PostgreSQL": postgres.process.pid}
    lines, first = [], None
    before = {name: cpu_seconds(process) for name, process in parts.items()}
    start = time.monotonic()
    for begin in range(0, documents, step):
        service.join()
        numbers = iter(range(begin, begin + step))
        lock, took = threading.Lock(), []

        def client():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                sent = time.monotonic()
                service.upload(scripted_card(number, 0))
                took.append(1000 * (time.monotonic() - sent))

        began = time.monotonic()
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        service.drain()
        lasted = time.monotonic() - began
        verdict = [1000 * (read - came) for came, read, _ in service.documents()]
        memory = {name: memory_mib(parts[name]) for name in ("API", "worker")}
        first = first or memory
        lines.append((begin + step, step / lasted, percentile(took, 0.95), percentile(verdict, 0.95), memory))
        print(f"  {begin + step}: {step / lasted:.0f} documents/s, {memory}", file=sys.stderr)
    lasted = time.monotonic() - start
    cost = {name: 1000 * (cpu_seconds(process) - before[name]) / documents for name, process in parts.items()}
    last = lines[-1][4]
    service.stop()
    postgres.stop()
    table = "| after | documents a second | acknowledged: 95 % below | verdict: 95 % below | API | worker |\n|---:|---:|---:|---:|---:|---:|\n"
    for line in lines[:1] + lines[3::4]:
        table += (f"| {line[0]:,} | {line[1]:.0f} | {line[2]:.0f} ms | {line[3]:.0f} ms | {line[4]['API']:.1f} MiB | "
                  f"{line[4]['worker']:.1f} MiB |\n")
    growth = ", ".join(f"{name} {100 * (last[name] / first[name] - 1):+.1f} %" for name in last)
    write_section(report, "Soak", f"""{documents:,} documents in {lasted:.0f} s through one `filot serve --no-worker` and one
`filot worker` with a scripted reader that takes no time, {clients} clients, PostgreSQL, a folder for files. {machine()}

Processor time for each document, beyond reading it: {", ".join(f"{name} {ms:.1f} ms" for name, ms in cost.items())}.
Memory from {step} documents to the end: {growth}.

{table}""")


if __name__ == "__main__":
    what, program, report = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        {"curves": curves, "soak": soak}[what](program, report, folder)
    print(f"written: {report}")
