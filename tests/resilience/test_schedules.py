"""Random schedules of connect, drop, resume, second tab and stop: what everybody is told is what is stored.

A schedule follows from its seed; which of its events meet which of the server's does not. A failure
names the seed: `SEED=… bin/test tests/resilience/test_schedules.py` runs that one alone, many times.
"""

import asyncio
import os
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.live.backstage import Backstage
from tests.live.people import Person, Place, Seat
from tests.live.servers import Server
from tests.live.valkey import Valkey
from tests.resilience.conftest import Serve
from tests.resilience.tab import Tab, as_plain, plain
from tests.resilience.upstream import question, whole

# So many on one server, and as many on two at once: 1,000 in all.
EACH = 500
AT_ONCE = 40
ONE = os.environ.get("SEED")


@dataclass
class Outcome:
    """What came out of a schedule: its tabs, and the answers with the seeds of their texts."""

    seed: int
    seat: Seat
    tabs: list[Tab] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    stops: int = 0


async def play(seed: int, seat: Seat, servers: list[Server]) -> Outcome:
    """One schedule: one or two questions, one to four tabs."""
    chance, outcome = random.Random(seed), Outcome(seed, seat)

    def where() -> Server:
        return chance.choice(servers)

    def resumes_at(end: int) -> int:
        return chance.choice([end, end, end, 0, chance.randint(0, end)])

    asker = Tab(seat, where, resumes_at)
    outcome.tabs = [asker, *(Tab(seat, where, resumes_at) for _ in range(chance.choice([0, 1, 1, 2, 3])))]
    await asker.connect()
    try:
        for number in range(chance.choice([1, 1, 1, 2])):
            await _one_turn(chance, outcome, seed * 10 + number)
    except Exception as error:
        seen = "\n  ".join(map(Tab.describe, outcome.tabs))
        raise AssertionError(f"seed {seed} on {len(servers)} server(s): {error!r}\n  {seen}") from error
    finally:
        outcome.connections = sum(tab.connections for tab in outcome.tabs)
        await asyncio.gather(*(tab.close() for tab in outcome.tabs))
    return outcome


async def _one_turn(chance: random.Random, outcome: Outcome, text_seed: int) -> None:
    tabs, asker = outcome.tabs, outcome.tabs[0]
    for tab in tabs[1:]:
        if not tab.connected and chance.random() < 0.6:
            await tab.connect()
    client_id = await asker.say(question(text_seed))
    stops = chance.random() < 0.25
    for _ in range(chance.randint(0, 7)):
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.003, 0.01, 0.03, 0.1, 0.2]))
        tab = chance.choice(tabs)
        if not tab.connected:
            await tab.connect()
            continue
        reply_id = asker.replies.get(client_id)
        roll = chance.random()
        if roll < 0.55:
            await tab.drop()
        elif roll < 0.75 and reply_id in tab.follows:
            await tab.resume(reply_id)
        elif roll < 0.85 and stops:
            outcome.stops += 1
            await tab.stop(reply_id)
    for tab in tabs:
        if not tab.connected:
            await tab.connect()
    await asker.until(lambda: client_id in asker.replies)
    reply_id = asker.replies[client_id]
    outcome.answers[reply_id] = text_seed
    for tab in tabs:
        await tab.until(lambda tab=tab: tab.ended(reply_id))  # type: ignore[misc]
    for tab in tabs:
        await tab.quiet()
    # Who saw less of it than all (a tab that began in the middle) knows it all now, and the same.
    assert len({tab.state[reply_id].text for tab in tabs}) == 1
    assert len({tab.state[reply_id].status for tab in tabs}) == 1


async def play_all(seeds: list[int], seats: list[Seat], servers: list[Server]) -> list[Outcome]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int, seat: Seat) -> Outcome:
        async with places:
            return await play(seed, seat, servers)

    results = await asyncio.gather(*map(one, seeds, seats), return_exceptions=True)
    wrong = [result for result in results if isinstance(result, BaseException)]
    if wrong:
        print(f"{len(wrong)} of {len(seeds)} schedules failed:", *map(str, wrong[:3]), sep="\n")
        raise wrong[0]
    return [result for result in results if isinstance(result, Outcome)]


def check(outcome: Outcome, stored: dict[str, tuple[str, str, str]]) -> None:
    """Every tab's state is what is stored; the one that asked knows all of it."""
    note = f"seed {outcome.seed}"
    for tab in outcome.tabs:
        mine = as_plain(tab)
        assert mine == {mid: stored.get(mid) for mid in mine}, note
    assert as_plain(outcome.tabs[0]) == stored, note
    for reply_id, text_seed in outcome.answers.items():
        _, text, status = stored[reply_id]
        assert status in ("complete", "stopped") and (status == "complete" or outcome.stops), note
        assert whole(text_seed).startswith(text) and (status == "stopped" or text == whole(text_seed)), note


async def fetch(server: Server, seat: Seat, session: str) -> list[dict[str, Any]]:
    """The conversation as a page that is opened now gets it."""
    async with httpx.AsyncClient(cookies={"sessionid": session}) as http:
        answer = await http.get(f"{server.url}/api/conversations/{seat.conversation}/messages")
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert page["next_cursor"] is None
        return list(page["items"])


async def run(
    backstage: Backstage, places: tuple[Place, Place], servers: list[Server], seeds: list[int]
) -> None:
    began = time.monotonic()
    # The workspaces take turns, so that their conversations are played side by side.
    half = (len(seeds) + 1) // 2
    both = [await asyncio.to_thread(backstage.seats, place, "varied", half, people=5) for place in places]
    seats = [seat for pair in zip(*both, strict=True) for seat in pair][: len(seeds)]
    outcomes = await play_all(seeds, seats, servers)
    played = time.monotonic() - began

    stored: dict[str, list[dict[str, Any]]] = {}
    for seats_ in both:
        stored |= backstage.messages_of(seats_)
    sessions: dict[Person, str] = {}
    fetched = 0
    for number, outcome in enumerate(outcomes):
        check(outcome, plain(stored[outcome.seat.conversation]))
        if number % 5 == 0:
            person = outcome.seat.person
            session = sessions.setdefault(person, "") or backstage.session(person)
            sessions[person] = session
            page = await fetch(servers[number % len(servers)], outcome.seat, session)
            check(outcome, plain(page))
            fetched += 1
    connections = sum(outcome.connections for outcome in outcomes)
    statuses = [tab.state[mid].status for o in outcomes for tab in o.tabs[:1] for mid in o.answers]
    stopped = statuses.count("stopped")
    print(
        f"\n{len(seeds)} schedules on {len(servers)} server(s) in {played:.1f} s: {connections} connections, "
        f"{len(statuses)} answers ({stopped} stopped), {fetched} compared over HTTP"
    )
    assert connections > 2 * len(seeds) or ONE
    assert stopped > len(seeds) / 50 or ONE


async def test_schedules_on_one_server(
    serve: Serve, backstage: Backstage, places: tuple[Place, Place]
) -> None:
    seeds = [int(ONE)] * 200 if ONE else list(range(1, EACH + 1))
    await run(backstage, places, [await serve()], seeds)


async def test_schedules_on_two_servers(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: tuple[Place, Place]
) -> None:
    """Each connection goes to either: what one writes is followed, resumed and stopped in the other."""
    seeds = [int(ONE)] * 200 if ONE else list(range(EACH + 1, 2 * EACH + 1))
    servers = await asyncio.gather(serve(REDIS_URL=valkey.url), serve(REDIS_URL=valkey.url))
    await run(backstage, places, list(servers), seeds)
