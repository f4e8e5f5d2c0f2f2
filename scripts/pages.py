"""Measures how long the pages of the desk take and how much a browser loads for them, on documents of `filot demo`.

    python3 scripts/pages.py PROGRAM docs/load.md
"""

import base64
import hashlib
import hmac
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

from load_kit import PASSWORD, Service, machine, percentile, write_section

OFFICER = "officer@example.com"
TIMES = 40


def one_time_code(secret):
    """RFC 6238 with the defaults that authenticator apps take."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


class Desk:
    """An officer's browser, without the pictures."""

    def __init__(self, service):
        self.service, self.cookies = service, {}

    def ask(self, method, path, form=None):
        connection_headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            connection_headers |= {"Content-Type": "application/x-www-form-urlencoded",
                                   "Sec-Fetch-Site": "same-origin"}
        status, headers, body = self.service.ask_whole(method, path, body, connection_headers)
        for name, value in headers:
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return status, dict(headers), body

    def enrol(self, path):
        """Sets up password and codes by a link, and is signed in by that."""
        _, _, page = self.ask("GET", path)
        secret = re.search(rb'class="secret">([A-Z2-7 ]+)<', page).group(1).decode().replace(" ", "")
        ticket = re.search(rb'name="ticket" value="([^"]+)"', page).group(1).decode()
        form = {"ticket": ticket, "password": PASSWORD, "again": PASSWORD, "code": one_time_code(secret)}
        status, _, page = self.ask("POST", path, form)
        if status not in (302, 303):
            sys.exit(f"cannot sign in at the desk: {status}")

    def time(self, path):
        start = time.monotonic()
        status, _, body = self.ask("GET", path)
        if status != 200:
            sys.exit(f"{path}: {status}")
        return (time.monotonic() - start) * 1000, body

    def first_load(self, body):
        """Bytes of the page with its styles and scripts."""
        assets = set(re.findall(rb'(?:href|src)="(/console/assets/[^"]+)"', body))
        return len(body) + sum(len(self.ask("GET", asset.decode())[2]) for asset in assets)


def main():
    program, report = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="filot-pages-") as folder:
        data = pathlib.Path(folder) / "data"
        service = Service(program, data)
        try:
            run = {"env": service.environment, "check": True}
            subprocess.run([program, "demo", "--count", "60"], stdout=subprocess.DEVNULL, **run)
            made = subprocess.run([program, "create-user", "--email", OFFICER, "--role", "admin"],
                                  stdout=subprocess.PIPE, **run)
            desk = Desk(service)
            desk.enrol(urllib.parse.urlsplit(made.stdout.decode().strip()).path)
            _, queue = desk.time("/console")
            token = re.search(rb'name="csrf" value="([^"]+)"', queue).group(1).decode()
            status, headers, _ = desk.ask("POST", "/console/next", {"csrf": token})
            review = headers.get("location", headers.get("Location"))
            if not review:
                sys.exit(f"no review to take: {status}")
            rows = []
            pages = [("queue", "/console"), ("review, taken", review), ("help", "/console/help")]
            pages += [(f"dashboard, {days} days", f"/console/dashboard?days={days}") for days in (7, 30, 90)]
            for name, path in pages:
                first, body = desk.time(path)
                again = [desk.time(path)[0] for _ in range(TIMES)]
                rows.append(f"| {name} | {first:.0f} ms | {percentile(again, 0.5):.1f} ms | {percentile(again, 0.95):.1f} ms "
                            f"| {desk.first_load(body) / 1024:.0f} KiB |")
        finally:
            service.stop()
    write_section(report, "Pages of the desk", "\n".join([
        f"60 documents of `filot demo`, SQLite, each page asked for once and then {TIMES} times, one after the other.",
        f"{machine()}", "",
        "| page | first time | median | 95 % below | first load without pictures |", "|---|---:|---:|---:|---:|", *rows]))


main()
