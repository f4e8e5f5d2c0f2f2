"""Starts FiLot and what it needs on free loopback ports, puts bounded load on it and writes what it measured.

Usage: load.py FILOT REPORT
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PASSWORD = "a long enough one"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


class Postgres:
    """A server of its own, ended with this object."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            sys.exit("load: PostgreSQL is missing: scripts/setup-debian.sh")
        user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
        if user:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        initdb = [*user, programs[-1] / "initdb", "-D", data, "-A", "trust", "-U", "filot", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [*user, programs[-1] / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-k", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            ready = subprocess.run([programs[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)],
                                   stdout=subprocess.DEVNULL)
            if ready.returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("load: PostgreSQL does not start")

    @property
    def url(self):
        return f"postgres://filot@127.0.0.1:{self.port}/postgres"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Service:
    """`filot serve` with a user who is signed in."""

    def __init__(self, program, folder, **settings):
        self.port = free_port()
        environment = os.environ | {
            "PORT": str(self.port), "FILOT_DATA_DIR": str(folder), "LOG_LEVEL": "warn",
            "FILOT_SERVER_REQUESTS_PER_MINUTE": "100000000", "FILOT_SERVER_UPLOADS_PER_MINUTE": "100000000",
            "FILOT_UPLOAD_FILES_PER_DAY": "0", "FILOT_UPLOAD_BYTES_PER_DAY": "0",
        } | settings
        started = time.monotonic()
        self.process = subprocess.Popen([program, "serve"], env=environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        while True:
            try:
                if self.ask("GET", "/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.005)
            if self.process.poll() is not None:
                sys.exit("load: filot serve ended by itself")
        self.seconds_to_ready = time.monotonic() - started
        account = json.dumps({"email": "load@example.com", "password": PASSWORD})
        status, body = self.ask("POST", "/auth/register", account, {"Content-Type": "application/json"})
        if status not in (200, 201):
            sys.exit(f"load: cannot register: {body}")
        self.token = json.loads(body)["accessToken"]

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(self, jpeg, wait=None):
        edge = "filot-load"
        head = (f'--{edge}\r\nContent-Disposition: form-data; name="type"\r\n\r\nKTP\r\n--{edge}\r\n'
                'Content-Disposition: form-data; name="file"; filename="card.jpg"\r\nContent-Type: image/jpeg\r\n\r\n')
        body = head.encode() + jpeg + f"\r\n--{edge}--\r\n".encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": f"multipart/form-data; boundary={edge}"}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        status, answer = self.ask("POST", "/documents/upload", body, headers)
        if status not in (200, 202):
            sys.exit(f"load: upload refused: {answer}")
        return json.loads(answer)

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


def reads(service, seconds):
    """wrk -c32 on one document: answers per second and the 99th percentile in ms."""
    document = service.upload(pathlib.Path(next(iter(sorted(SAMPLES.glob("*.jpg"))))).read_bytes(), wait=25)
    url = f"http://127.0.0.1:{service.port}/documents/{document['documentId']}"
    out = subprocess.run(["wrk", "-t2", "-c32", f"-d{seconds}s", "--latency", "-H",
                          f"Authorization: Bearer {service.token}", url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"load: not all answers were good:\n{out}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def uploads(service, jpeg, a_second, seconds):
    """Milliseconds until each upload is acknowledged, sent at a fixed rate whatever the answers."""
    took, threads = [], []

    def one():
        start = time.monotonic()
        service.upload(jpeg)
        took.append((time.monotonic() - start) * 1000)

    begin = time.monotonic()
    for number in range(a_second * seconds):
        time.sleep(max(0, begin + number / a_second - time.monotonic()))
        threads.append(threading.Thread(target=one))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return took


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
        rate, p99 = reads(service, 10)
        rows.append(("`GET /documents/{id}`, PostgreSQL, `wrk -c32`", f"{rate:,.0f} a second, p99 {p99:.1f} ms"))
        service.stop()
        postgres.stop()
        service = Service(PROGRAM, work / "embedded")
        rows.append(("start to ready, embedded", f"{service.seconds_to_ready:.2f} s"))
        rows.append(("idle memory of API and worker, networks loaded", f"{service.memory_mib()} MiB"))
        rate, p99 = reads(service, 10)
        rows.append(("`GET /documents/{id}`, SQLite, `wrk -c32`", f"{rate:,.0f} a second, p99 {p99:.1f} ms"))
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
        took = uploads(service, one_megabyte(photos[0].read_bytes()), 20, 15)
        rows.append(("upload of 1 MB acknowledged, 20 a second for 15 s, reading meanwhile",
                     f"median {statistics.median(took):.0f} ms, 95 % below {percentile(took, 0.95):.0f} ms"))
        service.stop()
    cores = os.cpu_count()
    REPORT.write_text(
        "# Speed of the service\n\nWritten by `make bench-load`; do not edit. Client, database and service share one machine "
        f"with {cores} cores; the load average was {os.getloadavg()[1]:.1f}. Cards are drawn by the test kit.\n\n"
        "| what | measured |\n|---|---|\n" + "".join(f"| {what} | {value} |\n" for what, value in rows))
    print(REPORT.read_text())
