"""Lets a load happen to a contestant, and turns what was seen into figures."""

import asyncio
import gc
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from msgspec import Struct

from benchmarks.contestants import Target
from benchmarks.lines import Answer, Line
from benchmarks.loads import Load
from benchmarks.meter import Meter, Usage, load_average
from benchmarks.stage import Guest

# Sockets that are opened at the same time: the handshake is not what is measured.
OPENING = 32
# How often the server's CPU is looked at for the steady part of a load (seconds).
_GLANCE = 0.1
# A steady part shorter than this (seconds) says nothing, at 10 ms a tick.
_STEADY_SECONDS = 2.0


class Spread(Struct, frozen=True):
    """Of many measured times, in milliseconds."""

    p50: float
    p99: float
    largest: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Spread | None":
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(*(round(percentile(ordered, part) * 1000, 3) for part in (0.5, 0.99, 1.0)))


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least that part of them does not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))]


class Figures(Struct, frozen=True, kw_only=True):
    """One load, one contestant. Times in ms, CPU in microseconds or cores; docs/benchmarks.md explains."""

    load: str
    contestant: str
    asks: int
    failed: int
    failure: str
    tokens: int
    asked_tokens: int
    seconds: float
    tokens_per_second: float
    delivered: float | None
    """Tokens a second of those asked for; None where the upstream is not paced."""
    first: Spread | None
    """Send to first token."""
    stored: Spread | None
    """Send to `saved`."""
    first_back: Spread | None
    """The first token's stamp to its arrival."""
    token: Spread | None
    """Any token's stamp to its arrival."""
    tokens_per_chunk: float
    cpu_us_per_token: float | None
    steady_cpu_us_per_token: float | None
    """While all streams run: without what begins and ends a turn."""
    cpu_ms_per_turn: float | None
    server_cores: float
    database_cores: float
    upstream_cores: float
    generator_cores: float
    other_cores: float
    """Cores in use by what has nothing to do with the benchmark: noise."""
    load_average: float


def measure(load: Load, target: Target, guests: Sequence[Guest], meter: Meter) -> Figures:
    """Run the load once. Sockets are open before, and closed after, what is measured."""
    lines = [target.line(guest) for guest in guests]
    with _quiet():
        seen = asyncio.run(_perform(load, lines, meter))
    return _figures(load, target, *seen)


async def open_all(lines: Sequence[Line]) -> None:
    """Open them, some at a time. Raises LineFailure."""
    gate = asyncio.Semaphore(OPENING)

    async def one(line: Line) -> None:
        async with gate:
            await line.open()

    await asyncio.gather(*map(one, lines))


async def _perform(
    load: Load, lines: Sequence[Line], meter: Meter
) -> tuple[list[Answer], list[float], list[tuple[float, float]], Usage, float]:
    """The answers, the seconds of each round, the server's CPU over time, and the CPU used in how long."""
    try:
        await open_all(lines)
        answers: list[Answer] = []
        rounds: list[float] = []
        glances: list[tuple[float, float]] = []
        glancing = asyncio.create_task(_glance(meter.server, glances))
        before, started = meter.usage(), monotonic()
        for members in _batched(lines, load.streams):
            began = monotonic()
            round_ = await _round(load, members)
            answers += round_
            rounds.append(max((a.arrivals[-1] for a in round_ if a.arrivals), default=monotonic()) - began)
        used, watched = meter.usage().since(before), monotonic() - started
        glancing.cancel()
        return answers, rounds, glances, used, watched
    finally:
        for line in lines:
            line.close()
        await asyncio.sleep(0.05)


async def _round(load: Load, lines: Sequence[Line]) -> list[Answer]:
    # Far beyond what any contestant should need; a stream that is not done by then has failed.
    patience = 4 * (load.ideal_seconds or 0) + 60

    async def one(line: Line, delay: float) -> Answer:
        await asyncio.sleep(delay)
        answer = Answer(sent=monotonic())
        try:
            async with asyncio.timeout(patience):
                await line.ask(answer)
        except (TimeoutError, OSError) as error:
            answer.failure = type(error).__name__
        return answer

    delays = (load.ramp * number / len(lines) for number in range(len(lines)))
    return await asyncio.gather(*(one(line, delay) for line, delay in zip(lines, delays, strict=False)))


def _batched(lines: Sequence[Line], size: int) -> Iterator[Sequence[Line]]:
    return (lines[start : start + size] for start in range(0, len(lines), size))


async def _glance(look: Callable[[], float], glances: list[tuple[float, float]]) -> None:
    while True:
        glances.append((monotonic(), look()))
        await asyncio.sleep(_GLANCE)


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection in the load generator meanwhile: its pauses are nobody's latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- figures -----------------------------------------------------------------------------------------


def _figures(
    load: Load,
    target: Target,
    answers: list[Answer],
    rounds: list[float],
    glances: list[tuple[float, float]],
    used: Usage,
    watched: float,
) -> Figures:
    failures = [
        a.failure or "tokens are missing" for a in answers if a.failure or len(a.stamps) != load.tokens
    ]
    tokens = sum(len(a.stamps) for a in answers)
    seconds = sum(rounds)
    ideal = load.ideal_seconds
    begun = [a for a in answers if a.stamps]
    server = used.server if target.servers else used.generator
    elapsed = max(seconds, 1e-9)
    # Of the cores' time, what comes after the last token (storing, `done`) is part.
    watched = max(watched, 1e-9)
    return Figures(
        load=load.name,
        contestant=target.name,
        asks=load.asks,
        failed=len(failures),
        failure=failures[0] if failures else "",
        tokens=tokens,
        asked_tokens=load.asked_tokens,
        seconds=round(seconds, 3),
        tokens_per_second=round(tokens / elapsed, 1),
        delivered=round(tokens / load.asked_tokens * min(1.0, ideal * len(rounds) / elapsed), 4)
        if ideal
        else None,
        first=Spread.of(a.arrivals[0] - a.sent for a in begun),
        stored=Spread.of(a.saved - a.sent for a in answers if a.saved is not None),
        first_back=Spread.of(a.arrivals[0] - a.stamps[0] for a in begun),
        token=Spread.of(
            arrival - stamp for a in begun for stamp, arrival in zip(a.stamps, a.arrivals, strict=True)
        ),
        tokens_per_chunk=round(tokens / max(1, sum(a.pieces for a in answers)), 2),
        cpu_us_per_token=_each(server, tokens),
        steady_cpu_us_per_token=_steady(load, begun, glances) if target.servers else None,
        cpu_ms_per_turn=round(server / load.asks * 1000, 2),
        server_cores=round(used.server / watched, 2),
        database_cores=round(used.database / watched, 2),
        upstream_cores=round(used.upstream / watched, 2),
        generator_cores=round(used.generator / watched, 2),
        other_cores=round(used.others / watched, 2),
        load_average=round(load_average(), 2),
    )


def _each(seconds: float, tokens: int) -> float | None:
    """Microseconds a token."""
    return round(seconds / tokens * 1e6, 1) if tokens else None


def _steady(load: Load, answers: list[Answer], glances: list[tuple[float, float]]) -> float | None:
    """Server CPU a token between the last stream's first token and the first stream's last one."""
    if load.rounds > 1 or not load.rate or len(answers) < load.streams:
        return None
    start, end = max(a.arrivals[0] for a in answers), min(a.arrivals[-1] for a in answers)
    inside = [glance for glance in glances if start <= glance[0] <= end]
    if len(inside) < 2 or inside[-1][0] - inside[0][0] < _STEADY_SECONDS:
        return None
    (start, before), (end, after) = inside[0], inside[-1]
    tokens = sum(bisect_left(a.arrivals, end) - bisect_left(a.arrivals, start) for a in answers)
    return _each(after - before, tokens)
