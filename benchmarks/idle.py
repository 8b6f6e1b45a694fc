"""What a socket costs that is open and says nothing."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from msgspec import Struct

from benchmarks.contestants import Target
from benchmarks.lines import Line
from benchmarks.meter import cpu_seconds, resident_kib
from benchmarks.runner import open_all
from benchmarks.stage import Guest

# Seconds until what an opening or closing leaves to be done is done.
_SETTLE = 2.0
# Seconds over which the CPU of idle sockets is looked at.
_WATCH = 5.0
# Opened and closed before the memory at rest is read, so that what is made once is made.
_REHEARSAL = 50


class Idle(Struct, frozen=True, kw_only=True):
    """Memory in KiB (resident, of the server's processes), CPU in cores."""

    contestant: str
    sockets: int
    at_rest_kib: int
    per_socket_kib: float
    after_closing_kib: int
    idle_cores: float
    opened_per_second: float
    cpu_ms_per_opening: float


def measure_idle(target: Target, guests: Sequence[Guest]) -> Idle:
    """Open a socket for each guest, leave them alone for a while, close them."""
    return asyncio.run(_perform(target, guests))


async def _perform(target: Target, guests: Sequence[Guest]) -> Idle:
    rehearsal: list[Line] = [target.line(guest) for guest in guests[:_REHEARSAL]]
    lines: list[Line] = [target.line(guest) for guest in guests]
    try:
        await open_all(rehearsal)
        await _close(rehearsal)
        at_rest = resident_kib(target.pids)
        before, began = _cpu(target), monotonic()
        await open_all(lines)
        seconds, opening = monotonic() - began, _cpu(target) - before
        await asyncio.sleep(_SETTLE)
        full, before = resident_kib(target.pids), _cpu(target)
        await asyncio.sleep(_WATCH)
        idle = _cpu(target) - before
        await _close(lines)
    finally:
        for line in [*rehearsal, *lines]:
            line.close()
    return Idle(
        contestant=target.name,
        sockets=len(lines),
        at_rest_kib=at_rest,
        per_socket_kib=round((full - at_rest) / len(lines), 1),
        after_closing_kib=resident_kib(target.pids),
        idle_cores=round(idle / _WATCH, 3),
        opened_per_second=round(len(lines) / seconds, 1),
        cpu_ms_per_opening=round(opening / len(lines) * 1000, 2),
    )


async def _close(lines: Sequence[Line]) -> None:
    for line in lines:
        line.close()
    await asyncio.sleep(_SETTLE)


def _cpu(target: Target) -> float:
    return sum(map(cpu_seconds, target.pids))
