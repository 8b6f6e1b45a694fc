"""Two server processes, one database, one Redis: followed, resumed, stopped from the other; one is killed."""

import asyncio
import random
import signal
import statistics
import time
from dataclasses import dataclass

from tests.live.backstage import Backstage
from tests.live.client import Client, Frame
from tests.live.people import Place, Seat
from tests.live.servers import Server
from tests.live.valkey import Valkey
from tests.resilience.conftest import Serve
from tests.resilience.tab import Tab

Places = tuple[Place, Place]
# chat.answers.HEARTBEAT_LIMIT; and what may come on top of it: the other process looks each second, and
# this machine may be busy.
HEARTBEAT_LIMIT, MARGIN = 10.0, 4.0
BATCHES, IN_A_BATCH = 5, 10


async def two(serve: Serve, valkey: Valkey) -> tuple[Server, Server]:
    first, second = await asyncio.gather(serve(REDIS_URL=valkey.url), serve(REDIS_URL=valkey.url))
    return first, second


async def lags(client: Client, until: float) -> list[float]:
    """Follow a `stamped` answer until so many seconds have passed; how old each chunk's last token was."""
    found = []
    deadline = time.monotonic() + until
    while time.monotonic() < deadline:
        frame: Frame = await client.receive()
        if frame["type"] == "chunk" and frame["text"].endswith(" "):
            found.append(time.monotonic() - float(frame["text"].split()[-1]))
    return found


async def test_followed_live_and_stopped_from_the_other(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    a, b = await two(serve, valkey)
    seat = backstage.seat(places[0], "stamped-2000-50")
    async with Client(a, seat) as asker, Client(b, seat) as other:
        await asker.say("go")
        got = await other.until("typing", 5)
        assert [f["type"] for f in got] == ["message", "typing"]
        assert got[0]["text"] == "go"
        here, there = await asyncio.gather(lags(asker, 2.5), lags(other, 2.5))
        print(
            f"\ntoken to chunk, median: {statistics.median(here) * 1000:.0f} ms in its process, "
            f"{statistics.median(there) * 1000:.0f} ms in the other ({len(there)} chunks)"
        )
        # Far below the second between two checkpoints: they came through Redis.
        assert len(there) > 20
        assert statistics.median(there) < 0.3
        asked = time.monotonic()
        await other.send({"type": "stop"})
        one, two_ = await asyncio.gather(asker.answer(3), other.answer(3))
        assert time.monotonic() - asked < 3
        assert one.status == two_.status == "stopped"
        assert one.text == two_.text == backstage.message(seat, one.id)["text"]
        await asyncio.gather(asker.quiet(), other.quiet())


async def test_resumed_in_the_other_at_any_offset(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    """Also at one that the other process does not know of yet: what is stored is a second old."""
    a, b = await two(serve, valkey)

    async def resumed(message_id: str, seat: Seat, offset: int) -> None:
        async with Client(b, seat) as client:
            await client.resume(message_id, offset)
            answer = await client.answer()
            assert answer.chunks[0]["offset"] == offset
            assert "".join(c["text"] for c in answer.chunks) == answer.text[offset:]
            await client.quiet()

    async def one(seat: Seat, wait: float) -> None:
        async with Client(a, seat) as asker:
            await asker.say("go")
            message_id = await asker.written(length=25)
            async with asyncio.timeout(20):
                deadline = time.monotonic() + wait
                while time.monotonic() < deadline:
                    await asker.receive()
            end = asker.following[message_id].end
            followers = [resumed(message_id, seat, offset) for offset in (0, 7, end // 2, end, end)]
            answer, *_ = await asyncio.gather(asker.answer(), *followers)
            assert answer.text == backstage.message(seat, message_id)["text"]

    seats = backstage.seats(places[0], "lorem-150-40", 8, people=4)
    await asyncio.gather(*(one(seat, number * 0.15) for number, seat in enumerate(seats)))


async def test_connecting_to_the_other_while_an_answer_begins(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    """Whenever a socket opens, it is told of the answer: by `ready`, or by what comes after."""
    a, b = await two(serve, valkey)
    chance = random.Random(7)

    async def follower(seat: Seat, delay: float, begun: asyncio.Event) -> Tab:
        await begun.wait()
        await asyncio.sleep(delay)
        tab = Tab(seat, lambda: b)
        await tab.connect()
        return tab

    async def one(seat: Seat) -> None:
        begun = asyncio.Event()
        early, asker = Tab(seat, lambda: b), Tab(seat, lambda: a)
        await asyncio.gather(early.connect(), asker.connect())
        coming = [asyncio.create_task(follower(seat, chance.random() * 0.2, begun)) for _ in range(5)]
        client_id = await asker.say("go")
        begun.set()
        tabs = [early, asker, *[await task for task in coming]]
        await asker.until(lambda: client_id in asker.replies)
        reply_id = asker.replies[client_id]
        try:
            for tab in tabs:
                await tab.until(lambda tab=tab: tab.ended(reply_id), 10)  # type: ignore[misc]
            assert len({tab.state[reply_id].text for tab in tabs}) == 1
        except TimeoutError:
            raise AssertionError("\n".join(map(Tab.describe, tabs))) from None
        finally:
            await asyncio.gather(*(tab.close() for tab in tabs))

    for number in range(6):
        model = ("lorem-30-60", "echo")[number % 2]
        await asyncio.gather(*(one(seat) for seat in backstage.seats(places[1], model, 8, people=4)))


# --- killed ----------------------------------------------------------------------------------------


@dataclass
class Round:
    """One answer that is cut off by its process's death, followed in the other process."""

    seat: Seat
    asker: Tab
    follower: Tab
    client_id: str = ""
    killed: float = 0.0
    took: float = 0.0
    said: str = ""

    @property
    def reply_id(self) -> str:
        return self.asker.replies[self.client_id]

    async def begin(self) -> None:
        await asyncio.gather(self.asker.connect(), self.follower.connect())
        self.said = f"do not lose this {self.seat.conversation}"
        self.client_id = await self.asker.say(self.said)
        await self.asker.until(lambda: self.client_id in self.asker.replies)

    async def end(self) -> None:
        """Wait until the follower is told the end; and whoever comes later is told the same."""
        await self.follower.until(lambda: self.follower.ended(self.reply_id), HEARTBEAT_LIMIT + 20)
        self.took = time.monotonic() - self.killed
        known = self.follower.state[self.reply_id]
        assert known.status == "interrupted"
        await self.follower.quiet()
        late = Tab(self.seat, self.follower.where)
        await late.connect()
        await late.until(lambda: late.ended(self.reply_id))
        assert late.state[self.reply_id].text == known.text
        await asyncio.gather(late.close(), self.follower.close())


async def test_killed_in_mid_answer(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    """50 rounds: an answer each, ten of which die with each of five kills. The next ten begin in the
    restarted process while the followers of the last ones still wait for the heartbeat to be missed."""
    a, b = await two(serve, valkey)
    seats = backstage.seats(places[0], "lorem-2000-30", BATCHES * IN_A_BATCH, people=5)
    rounds: list[Round] = []
    ends: list[asyncio.Task[None]] = []
    for number in range(BATCHES):
        batch = [
            Round(seat, Tab(seat, lambda: a), Tab(seat, lambda: b))
            for seat in seats[number * IN_A_BATCH : (number + 1) * IN_A_BATCH]
        ]
        await asyncio.gather(*(r.begin() for r in batch))
        if number:  # the first ten die before a word is stored
            for r in batch:
                await r.follower.until(lambda r=r: bool(r.follower.state.get(r.reply_id)))  # type: ignore[misc]
            await asyncio.sleep(0.4 * number)
        a.signal(signal.SIGKILL)
        for r in batch:
            r.killed = time.monotonic()
        await asyncio.to_thread(a.wait, 5)
        await asyncio.gather(*(r.asker.drop() for r in batch))
        rounds += batch
        ends += [asyncio.create_task(r.end()) for r in batch]
        if number < BATCHES - 1:
            await asyncio.to_thread(a.start)
    await asyncio.gather(*ends)

    stored = backstage.messages_of(seats)
    kept = []
    for r in rounds:
        question, answer = stored[r.seat.conversation]
        assert (question["role"], question["text"]) == ("user", r.said)
        assert (str(answer["id"]), answer["status"]) == (r.reply_id, "interrupted")
        assert answer["text"] == r.follower.state[r.reply_id].text
        kept.append(len(answer["text"]))
    took = sorted(r.took for r in rounds)
    print(
        f"\n{len(rounds)} rounds, {BATCHES} kills: `interrupted` after {took[0]:.1f} to {took[-1]:.1f} s "
        f"(median {statistics.median(took):.1f}); {min(kept)} to {max(kept)} characters kept"
    )
    assert took[-1] < HEARTBEAT_LIMIT + MARGIN
    # Who had written for over a second has stored something.
    assert all(kept[number] > 0 for number in range(3 * IN_A_BATCH, len(kept)))
