"""What the measurements of the service stand on: servers and FiLot itself on free loopback ports, uploads, percentiles,
and reports whose sections are written one by one.
"""

import datetime
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

PASSWORD = "a long enough one"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def seconds(instant):
    return datetime.datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()


class Postgres:
    """A server of its own, ended with this object."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            sys.exit("PostgreSQL is missing: scripts/setup-debian.sh")
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
        sys.exit("PostgreSQL does not start")

    @property
    def url(self):
        return f"postgres://filot@127.0.0.1:{self.port}/postgres"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Service:
    """`filot serve` with a user who is signed in, and as many processes of `filot worker` as are asked for."""

    def __init__(self, program, folder, arguments=(), **settings):
        self.port = free_port()
        self.program, self.arguments, self.workers = program, list(arguments), []
        environment = self.environment = os.environ | {
            "PORT": str(self.port), "FILOT_DATA_DIR": str(folder), "LOG_LEVEL": "warn",
            "FILOT_SERVER_REQUESTS_PER_MINUTE": "100000000", "FILOT_SERVER_UPLOADS_PER_MINUTE": "100000000",
            "FILOT_UPLOAD_FILES_PER_DAY": "0", "FILOT_UPLOAD_BYTES_PER_DAY": "0",
        } | settings
        started = time.monotonic()
        self.process = subprocess.Popen([program, "serve", *arguments], env=environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        while True:
            try:
                if self.ask("GET", "/ready")[0] == 200:
                    break
            except OSError:
                time.sleep(0.005)
            if self.process.poll() is not None:
                sys.exit("filot serve ended by itself")
        self.seconds_to_ready = time.monotonic() - started
        self.accounts = 0
        self.join()

    def join(self):
        """Signs in as somebody new."""
        self.accounts += 1
        account = json.dumps({"email": f"load{self.accounts}@example.com", "password": PASSWORD})
        status, body = self.ask("POST", "/auth/register", account, {"Content-Type": "application/json"})
        if status not in (200, 201):
            sys.exit(f"cannot register: {body}")
        self.token = json.loads(body)["accessToken"]

    def sign_in(self):
        """A new token, as each lives for a quarter of an hour."""
        account = json.dumps({"email": f"load{self.accounts}@example.com", "password": PASSWORD})
        status, body = self.ask("POST", "/auth/login", account, {"Content-Type": "application/json"})
        self.token = json.loads(body)["accessToken"]

    def work(self, count):
        """Starts so many processes that read, one document at a time each."""
        environment = self.environment | {"FILOT_WORKER_CONCURRENCY": "1"}
        scripted = [argument for argument in self.arguments if argument == "--scripted"]
        for _ in range(count):
            self.workers.append(subprocess.Popen([self.program, "worker", *scripted], env=environment,
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def documents(self):
        """All documents of whoever is signed in: when each came and when it was read, in seconds, and its status."""
        found, cursor = [], ""
        while cursor is not None:
            status, body = self.ask("GET", f"/documents?limit=100{cursor}", headers={"Authorization": f"Bearer {self.token}"})
            if status != 200:
                sys.exit(f"cannot list documents: {body}")
            page = json.loads(body)
            for entry in page["documents"]:
                read = entry["processedAt"] and seconds(entry["processedAt"])
                found.append((seconds(entry["createdAt"]), read, entry["status"]))
            cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
        return found

    def waiting(self):
        """Documents in line or being read."""
        status, body = self.ask("GET", "/metrics", headers={"Accept": "application/json"})
        queues = json.loads(body)["metrics"]["queues"]
        return queues["cpuQueueLength"] + queues["cpuActiveJobs"]

    def drain(self):
        while self.waiting():
            time.sleep(0.1)

    def ask(self, method, path, body=None, headers=None):
        status, _, answer = self.ask_whole(method, path, body, headers)
        return status, answer

    def ask_whole(self, method, path, body=None, headers=None):
        """Status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def upload(self, picture, wait=None):
        edge = "filot-load"
        head = (f'--{edge}\r\nContent-Disposition: form-data; name="type"\r\n\r\nKTP\r\n--{edge}\r\n'
                'Content-Disposition: form-data; name="file"; filename="card"\r\n'
                'Content-Type: application/octet-stream\r\n\r\n')
        body = head.encode() + picture + f"\r\n--{edge}--\r\n".encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": f"multipart/form-data; boundary={edge}"}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        status, answer = self.ask("POST", "/documents/upload", body, headers)
        if status not in (200, 202):
            sys.exit(f"upload refused: {answer}")
        return json.loads(answer)

    def stop(self):
        for process in [*self.workers, self.process]:
            process.terminate()
        for process in [*self.workers, self.process]:
            process.wait()




def uploads(service, cards, a_second, seconds):
    """Sends cards at a fixed rate whatever the answers; milliseconds until each upload was acknowledged."""
    took, threads, cards = [], [], iter(cards)

    def one(card):
        start = time.monotonic()
        service.upload(card)
        took.append((time.monotonic() - start) * 1000)

    begin = time.monotonic()
    for number in range(round(a_second * seconds)):
        time.sleep(max(0, begin + number / a_second - time.monotonic()))
        threads.append(threading.Thread(target=one, args=(next(cards),)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return took


def scripted_card(number, milliseconds):
    """A PNG that the scripted reader takes so long for and approves, as crates/filot/src/selftest/cards.rs makes them."""
    row = struct.pack(">I", number)[1:] + struct.pack(">BH", 0, milliseconds)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + row)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def memory_mib(process):
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def cpu_seconds(process):
    """Processor time of a process and all that it started and that still run or were waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if stat.parent.name == str(process):
            total += sum(map(int, fields[11:15]))
        elif fields[1] == str(process):
            total += sum(map(int, fields[11:13]))
    return total / tick


def machine():
    return f"Client, database and service share one machine with {os.cpu_count()} cores."


def write_section(report, title, text):
    """Puts the section with this title in place of the one there is, or at the end; other sections stay."""
    report = pathlib.Path(report)
    head = ("# Speed of the service\n\nWritten by `make bench-load`, `make bench-pages`, `make bench-curves` and `make bench-soak`; do not "
            "edit. Cards are drawn by the test kit.\n")
    before = report.read_text() if report.exists() else head
    sections = re.split(r"(?m)^(?=## )", before)
    kept = [section for section in sections[1:] if not section.startswith(f"## {title}\n")]
    order = ["In short", "Pages of the desk", "Load curves: a reader that only waits", "Load curves: the real reader", "Soak"]
    kept.append(f"## {title}\n\n{text.strip()}\n\n")
    kept.sort(key=lambda section: order.index(section[3:].split("\n", 1)[0]))
    report.write_text(head + "\n" + "".join(section.strip() + "\n\n" for section in kept).rstrip() + "\n")
