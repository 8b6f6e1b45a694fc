"""What processes and the machine have used, from Linux's /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for task in (_PROC / str(found[-1]) / "task").glob("*"):
            try:
                waiting += map(int, (task / "children").read_text().split())
            except OSError:
                continue  # it has ended meanwhile
    return found


def cpu_seconds(pid: int) -> float:
    """utime + stime of the process, its descendants, and those of them that have ended: proc(5), stat."""
    ticks = 0
    for member in family(pid):
        try:
            # The name before it, in parentheses, may contain anything.
            fields = (_PROC / str(member) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICK


def resident_kib(pids: Iterable[int]) -> int:
    """Resident memory in KiB of the processes and their descendants; shared pages count in each."""
    total = 0
    for pid in pids:
        for member in family(pid):
            try:
                status = (_PROC / str(member) / "status").read_text()
            except OSError:
                continue
            total += next((int(line.split()[1]) for line in status.splitlines() if line[:6] == "VmRSS:"), 0)
    return total


def machine_cpu_seconds() -> float:
    """CPU time the whole machine has been busy, all cores added up: proc(5), /proc/stat."""
    user, nice, system, _, _, irq, softirq, steal = map(int, (_PROC / "stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICK


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


@dataclass(frozen=True)
class Usage:
    """CPU seconds used so far, by whom. `machine`: by everybody, others on this machine included."""

    server: float
    upstream: float
    database: float
    generator: float
    machine: float

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            self.server - before.server,
            self.upstream - before.upstream,
            self.database - before.database,
            self.generator - before.generator,
            self.machine - before.machine,
        )

    @property
    def others(self) -> float:
        """Used by what has nothing to do with the benchmark."""
        return max(0.0, self.machine - self.server - self.upstream - self.database - self.generator)


class Meter:
    """Looks at the run's processes. `servers` may be empty: the direct contestant has none."""

    def __init__(self, *, servers: Iterable[int], upstream: int, database: int) -> None:
        self._servers = tuple(servers)
        self._upstream = upstream
        self._database = database

    def server(self) -> float:
        return sum(map(cpu_seconds, self._servers))

    def usage(self) -> Usage:
        times = os.times()
        return Usage(
            server=self.server(),
            upstream=cpu_seconds(self._upstream),
            database=cpu_seconds(self._database),
            generator=times.user + times.system,
            machine=machine_cpu_seconds(),
        )
