"""A thousand people who come and go, and one who stops reading: what the server holds, and who waits."""

import asyncio
import random
import statistics
import time

from tests.live.backstage import Backstage
from tests.live.client import Answer, Client, Frame
from tests.live.people import Place, Seat
from tests.live.servers import Server
from tests.live.vitals import tasks, vitals
from tests.resilience.conftest import Serve

Places = tuple[Place, Place]


# --- coming and going --------------------------------------------------------------------------------

WARM_UP, CYCLES, AT_ONCE = 200, 1000, 25
# Over 1,000 cycles. A leaked socket with its outbox would be 20 KiB or more: 20 MiB in all.
# Connections to the upstream are kept for the next answer, so many at most as were in use at once.
RSS_MIB, FILES = 12, AT_ONCE
# Pools fill up to their size as they are needed; a thread for each of 1,000 sockets would show.
THREADS = 2


async def cycle(server: Server, seat: Seat, chance: random.Random) -> None:
    """Connect, ask, and be gone: at once, in the middle of the answer, or after it."""
    async with Client(server, seat) as client:
        await client.say("hello")
        leaves = chance.random()
        if leaves < 0.3:
            await client.until("saved")
        elif leaves < 0.6:
            await client.written()
        else:
            assert (await client.answer()).status == "complete"
        client.drop()


async def cycles(server: Server, seats: list[Seat], seed: int) -> None:
    places, chance = asyncio.Semaphore(AT_ONCE), random.Random(seed)

    async def one(seat: Seat) -> None:
        async with places:
            await cycle(server, seat, chance)

    await asyncio.gather(*map(one, seats))


async def settled(server: Server) -> dict[str, int]:
    """The tasks once no turn runs and no socket is open."""
    async with asyncio.timeout(20):
        while True:
            found = await asyncio.to_thread(tasks, server)
            if not {"turn", "outbox", "generation", "checkpoints", "closing", "application"} & found.keys():
                return found
            await asyncio.sleep(0.2)


async def test_coming_and_going_leaves_nothing_behind(
    serve: Serve, backstage: Backstage, places: Places
) -> None:
    server = await serve(changed={})
    everybody = backstage.seats(places[0], "lorem-20-200", WARM_UP + CYCLES, people=20)
    await cycles(server, everybody[:WARM_UP], 1)
    # Connections to the upstream and threads for HTTP are kept for a while: they count as warm.
    tasks_before = await settled(server)
    before, connected_before = vitals(server), backstage.connections()
    began = time.monotonic()
    await cycles(server, everybody[WARM_UP:], 2)
    took = time.monotonic() - began
    tasks_after = await settled(server)
    after, connected_after = vitals(server), backstage.connections()
    print(
        f"\n{CYCLES} cycles in {took:.0f} s: {before} -> {after}, tasks {sum(tasks_before.values())} -> "
        f"{sum(tasks_after.values())}, database {connected_before} -> {connected_after}"
    )
    assert sum(tasks_after.values()) <= sum(tasks_before.values()), (tasks_before, tasks_after)
    assert after.threads <= before.threads + THREADS
    assert after.files <= before.files + FILES
    assert sum(connected_after.values()) <= sum(connected_before.values())
    assert after.rss_mib - before.rss_mib < RSS_MIB
    messages = backstage.messages_of(everybody)
    assert {len(of_one) for of_one in messages.values()} == {2}
    assert {m["status"] for of_one in messages.values() for m in of_one} == {"complete"}


# --- one who does not read ---------------------------------------------------------------------------

HEALTHY, TOKENS, RATE = 50, 20_000, 2_500
# What a stalled reader may cost beside the same load without one: its buffers are 64 KiB and some.
STALLED_MIB = 8


async def read_stamped(client: Client) -> tuple[Answer, list[float]]:
    """The answer, and how old the last token of each chunk was when it came."""
    frames: list[Frame] = []
    ages = []
    async with asyncio.timeout(60):
        while not frames or frames[-1]["type"] != "done":
            frame = await client.receive()
            if frame["type"] == "chunk" and frame["text"].endswith(" "):
                ages.append(time.monotonic() - float(frame["text"].split()[-1]))
            frames.append(frame)
    return Answer(frames), ages


async def watched(server: Server, peak: list[float]) -> None:
    while True:
        peak.append(vitals(server).rss_mib)
        await asyncio.sleep(0.1)


async def all_follow(
    server: Server, seat: Seat, stalled: Client | None
) -> tuple[list[float], list[float], str]:
    """50 sockets follow one answer. Out come the ages of chunks, when each ended, and the text."""
    clients = [Client(server, seat) for _ in range(HEALTHY)]
    for client in clients:
        await client.__aenter__()
    if stalled is not None:
        await stalled.__aenter__()
    await clients[0].say("go")
    results = await asyncio.gather(*map(_ending, clients))
    for client in clients:
        await client.close()
    texts = {answer.text for answer, _, _ in results}
    assert {answer.status for answer, _, _ in results} == {"complete"}
    assert len(texts) == 1
    return [age for _, ages, _ in results for age in ages], [end for _, _, end in results], texts.pop()


async def _ending(client: Client) -> tuple[Answer, list[float], float]:
    answer, ages = await read_stamped(client)
    return answer, ages, time.monotonic()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


async def test_a_stalled_reader_beside_fifty_healthy_ones(
    serve: Serve, backstage: Backstage, places: Places
) -> None:
    server = await serve()
    seat = backstage.seat(places[0], f"stamped-{TOKENS}-{RATE}")
    alone, _, _ = await all_follow(server, seat, None)
    before, peak = vitals(server), []
    watching = asyncio.create_task(watched(server, peak))
    stalled = Client(server, seat, narrow=True)
    try:
        beside, ends, text = await all_follow(server, seat, stalled)
        watching.cancel()
        grown = max(peak) - before.rss_mib
        assert len(text.split()) == TOKENS
        # It reads on: it was told less often, of more at a time, and of the same.
        late = await stalled.answer()
        pieces = [len(chunk["text"]) for chunk in late.chunks]
        assert late.text == text and "".join(c["text"] for c in late.chunks) == text
        print(
            f"\nage of a chunk's last token, median/p95/p99: alone {_three(alone)}, beside the stalled one "
            f"{_three(beside)} ms; the healthy ones' ends lie within {max(ends) - min(ends):.2f} s; memory "
            f"+{grown:.1f} MiB; the stalled one's {len(pieces)} chunks are up to {max(pieces)} characters"
        )
        assert max(pieces) > len(text) / 8, "it was not stalled"
        assert percentile(beside, 0.5) < 1.5 * percentile(alone, 0.5) + 0.01
        assert percentile(beside, 0.95) < 2 * percentile(alone, 0.95) + 0.03
        assert max(ends) - min(ends) < 1.0
        assert grown < STALLED_MIB
        await stalled.quiet()
    finally:
        await stalled.close()


def _three(ages: list[float]) -> str:
    values = (statistics.median(ages), percentile(ages, 0.95), percentile(ages, 0.99))
    return "/".join(f"{value * 1000:.0f}" for value in values)


async def test_who_stays_stalled_is_closed(serve: Serve, backstage: Backstage, places: Places) -> None:
    """Pings every second, to be answered within two; every 20 s within 30 s as installed."""
    changed = {"konstruct.server.PING_EVERY": 1.0, "konstruct.server.PING_WITHIN": 2.0}
    server = await serve(changed=changed)
    seat = backstage.seat(places[0], "lorem-30000-5000")
    async with Client(server, seat) as healthy:
        files = vitals(server).files
        stalled = Client(server, seat, narrow=True)
        await stalled.__aenter__()
        assert vitals(server).files == files + 1
        await healthy.say("go")
        await healthy.written()
        began = time.monotonic()
        answer = await healthy.answer()
        assert answer.status == "complete"
        async with asyncio.timeout(10):
            await _until_gone(server, files)
        print(f"\nclosed {time.monotonic() - began:.1f} s after the answer began")
        await asyncio.sleep(2.5)
        await healthy.quiet()
        stalled.drop()
        await stalled.close()


async def _until_gone(server: Server, files: int) -> None:
    """Until no socket's sender is left, and so many files are open."""
    while (await asyncio.to_thread(tasks, server)).get("outbox", 0) or vitals(server).files > files:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
