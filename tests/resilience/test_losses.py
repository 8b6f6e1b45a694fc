"""What an answer stands on goes away in mid-answer: Redis, PostgreSQL, and in good order the process."""

import asyncio
import signal
import statistics
import time
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres
from tests.live.backstage import Backstage
from tests.live.client import Answer, Client
from tests.live.people import Place
from tests.live.servers import manage
from tests.live.valkey import Valkey
from tests.resilience.conftest import Serve
from tests.resilience.test_two_processes import lags

Places = tuple[Place, Place]


async def timed(client: Client) -> tuple[Answer, float]:
    answer = await client.answer()
    return answer, time.monotonic()


async def test_redis_is_killed_in_mid_answer(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    a, b = await asyncio.gather(serve(REDIS_URL=valkey.url), serve(REDIS_URL=valkey.url))
    seat = backstage.seat(places[0], "lorem-150-30")
    async with Client(a, seat) as asker, Client(b, seat) as other:
        await asker.say("go")
        message_id = await other.written(length=50)
        valkey.kill()
        (here, at), (there, then) = await asyncio.gather(timed(asker), timed(other))
        assert here.status == there.status == "complete"
        assert len(here.text.split()) == 150
        stored = backstage.message(seat, message_id)
        assert here.text == there.text == stored["text"]
        assert stored["status"] == "complete"
        # One that begins without Redis: heard of through the database, and caught up from it.
        await asker.say("and without")
        (here, at_), (there, then_) = await asyncio.gather(timed(asker), timed(other))
        assert here.text == there.text and here.status == there.status == "complete"
        # Looked at twice a second, beside what a refused connection costs.
        assert then - at < 3 and then_ - at_ < 3
        valkey.start()

        await asker.close()
        live = backstage.hire(places[0], "stamped-150-50")
        async with Client(a, seat) as again:
            await again.say("once more", agentId=live)
            await other.until("typing", 5)
            late = await lags(other, 2.0)
            assert statistics.median(late) < 0.3
            await asyncio.gather(again.answer(), other.answer())
        print(
            f"\nfollower's end after the asker's: Redis lost in the middle {then - at:.2f} s, gone all along "
            f"{then_ - at_:.2f} s; with it back, a token is {statistics.median(late) * 1000:.0f} ms old"
        )


async def test_postgresql_is_away_for_a_while_and_for_too_long(
    serve: Serve, tmp_path: Path, backstage: Backstage
) -> None:
    """A database of its own. A finished answer waits for it for 4 s here; 30 s as installed."""
    home = tmp_path / "home"
    (home / "static").mkdir(parents=True)
    database = EmbeddedPostgres(Home(home), durable=False)
    database.start()
    own = {"KONSTRUCT_HOME": str(home)}
    try:
        await asyncio.to_thread(manage, "prepare", "--no-demo", **own)
        with Backstage(**own) as stage:
            place = stage.workspace("north", "North")
            changed = {"chat.settlement.PATIENCE": 4.0}
            server = await serve(scene=(stage, place), changed=changed, **own)
            seat, idle_seat, lost = (
                stage.seat(place, model) for model in ("lorem-40-20", "echo", "lorem-20-20")
            )
        async with Client(server, seat) as client, Client(server, idle_seat) as idle:
            await client.say("go")
            message_id = await client.written(length=30)
            await asyncio.to_thread(database.stop)
            await client.written(length=150)  # the words go on
            await asyncio.sleep(1.5)  # the answer ends, and waits
            await asyncio.to_thread(database.start)
            back = time.monotonic()
            answer = await client.answer(30)
            waited = time.monotonic() - back
            assert (answer.id, answer.status) == (message_id, "complete")
            assert len(answer.text.split()) == 40
            await asyncio.gather(client.quiet(), idle.quiet())
            assert (await idle.ask("still here?")).text == "still here?"
            with Backstage(**own) as stage:
                stored = stage.message(seat, message_id)
            assert (stored["text"], stored["status"]) == (answer.text, "complete")
            print(f"\nstored and told {waited:.1f} s after PostgreSQL took connections again")

        async with Client(server, lost) as client:
            await client.say("go")
            message_id = await client.written(length=20)
            await asyncio.to_thread(database.stop)
            gone = time.monotonic()
            answer = await client.answer(40)
            print(f"told that it is not stored {time.monotonic() - gone:.1f} s after PostgreSQL went")
            assert answer.error is not None and answer.error["code"] == "internal"
            assert (answer.id, answer.status) == (message_id, "failed")
            assert len(answer.text.split()) == 20
            await client.quiet()
            await asyncio.to_thread(database.start)
            async with Client(server, idle_seat, auth=None) as again:
                # The pool may be some seconds behind; who is sent off tries again.
                async with asyncio.timeout(20):
                    await again.close()
                    while True:
                        try:
                            async with Client(server, lost) as late:
                                assert (await late.ask("now?")).status == "complete"
                                break
                        except (WebSocketException, AssertionError):
                            await asyncio.sleep(0.5)
    finally:
        database.stop()


async def test_sigterm_lets_answers_end_for_up_to_its_grace(
    serve: Serve, valkey: Valkey, backstage: Backstage, places: Places
) -> None:
    """30 s as installed, 5 s here. Who follows from another process is told of the end in either case."""
    changed = {"chat.management.commands.serve.TERM_GRACE": 5.0}
    a, b = await asyncio.gather(serve(REDIS_URL=valkey.url, changed=changed), serve(REDIS_URL=valkey.url))
    short, long = backstage.seat(places[0], "lorem-60-30"), backstage.seat(places[1], "lorem-2000-30")
    async with (
        Client(a, short) as asker,
        Client(b, short) as follower,
        Client(a, long) as other_asker,
        Client(b, long) as other_follower,
    ):
        await asyncio.gather(asker.say("go"), other_asker.say("go"))
        ids = await asyncio.gather(follower.written(), other_follower.written())
        await asyncio.gather(asker.written(), other_asker.written())
        a.signal(signal.SIGTERM)
        asked = time.monotonic()
        assert await asker.closed(2) == await other_asker.closed(2) == 1012
        with pytest.raises((OSError, WebSocketException)):
            async with Client(a, short):
                pass
        whole = await follower.answer(10)
        assert (whole.id, whole.status, len(whole.text.split())) == (ids[0], "complete", 60)
        cut = await other_follower.answer(10)
        took = time.monotonic() - asked
        assert (cut.id, cut.status) == (ids[1], "interrupted")
        assert 4.5 < took < 9
        # It was not killed: nothing of what it wrote is lost.
        assert len(cut.text.split()) >= 100
        assert cut.text.startswith(other_asker.following[ids[1]].text)
        assert await asyncio.to_thread(a.wait, 10) == 0
        assert backstage.message(short, ids[0])["text"] == whole.text
        assert backstage.message(long, ids[1])["text"] == cut.text
        assert backstage.message(long, ids[1])["status"] == "interrupted"
        await asyncio.gather(follower.quiet(), other_follower.quiet())
