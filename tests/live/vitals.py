"""What a server process holds, as the system sees it."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.live.changed import MARK
from tests.live.servers import Server


@dataclass(frozen=True)
class Vitals:
    threads: int
    files: int
    rss_mib: float


def vitals(server: Server) -> Vitals:
    status = Path(f"/proc/{server.pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines())
    files = len(os.listdir(f"/proc/{server.pid}/fd"))
    return Vitals(int(values["Threads"]), files, int(values["VmRSS"].split()[0]) / 1024)


def tasks(server: Server) -> dict[str, int]:
    """The asyncio tasks by name, of a server that was started with `changed`."""
    before = len(server.said().encode())
    server.signal(signal.SIGUSR1)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in server.said(before).splitlines(keepends=True):
            if MARK in line and line.endswith("\n"):
                return dict(json.loads(line.partition(MARK)[2]))
        time.sleep(0.02)
    raise AssertionError(f"The server said nothing of its tasks:\n{server.said(before)[-2000:]}")
