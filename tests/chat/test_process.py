"""A server process that is killed, asked to end, or interrupted: what is kept, and who is told what."""

import asyncio
import signal
import time

import pytest
from websockets.exceptions import WebSocketException

from tests.chat.conftest import Serve, TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Seat

# PROTOCOL.md leaves the figure to the server; chat.records.HEARTBEAT_LIMIT.
HEARTBEAT_LIMIT = 10.0

pytestmark = pytest.mark.slow


async def stored(backstage: Backstage, place: Seat, length: int) -> str:
    """Wait until so much of the running answer is in the database."""
    async with asyncio.timeout(15):
        while True:
            answers = [m for m in backstage.messages(place) if m["role"] == "assistant"]
            if answers and len(answers[-1]["text"]) >= length:
                return str(answers[-1]["text"])
            await asyncio.sleep(0.05)


async def test_killed_in_the_middle_of_an_answer(serve: Serve, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat("lorem-2000-20")
    silent = seat("hang-first")
    server = await serve()
    async with Client(server, place) as client, Client(server, silent) as other:
        await client.say("keep this", messageId="6d9f3c0e-1111-4222-8333-444455556666")
        await other.say("and this")
        saved = (await other.until("saved"))[-1]
        message_id = await client.written()
        await stored(backstage, place, 20)
        server.signal(signal.SIGKILL)
        killed = time.monotonic()
        await client.closed()
    server.wait(5)
    text = await stored(backstage, place, 20)
    assert client.following[message_id].text.startswith(text)
    question, answer = backstage.messages(place)
    assert (question["text"], answer["status"]) == ("keep this", "running")
    assert backstage.message(silent, saved["message_id"])["text"] == "and this"

    await asyncio.to_thread(server.start)
    restarted = time.monotonic()
    async with Client(server, place) as client:
        active = client.ready["active"]
        assert active is None or active["message_id"] == message_id
        await client.resume(message_id, 5)
        end = await client.answer(HEARTBEAT_LIMIT + 10)
        # The heartbeat may be a second old when the process dies; a restart may outlast the limit.
        assert time.monotonic() < max(killed + HEARTBEAT_LIMIT, restarted) + 3
        assert (end.id, end.status, end.text) == (message_id, "interrupted", text)
        assert client.following[message_id].text == text[5:]
        await client.quiet()
        # Sent again by a client that cannot know: nothing new is stored.
        await client.say("keep this", messageId="6d9f3c0e-1111-4222-8333-444455556666")
        got = [f for f in await client.until("saved") if f["type"] != "typing"]
        assert [f["reply_id"] for f in got] == [message_id]
        await client.quiet()
    async with Client(server, place) as client:
        assert client.ready["active"] is None
        echo = backstage.hire(place.person.place, "echo")
        assert (await client.ask("and now", agentId=echo)).text == "and now"
    assert backstage.message(place, message_id)["status"] == "interrupted"
    # Nobody looked at this one; a socket that opens is told.
    async with Client(server, silent) as client:
        if client.ready["active"]:
            await client.resume(saved["reply_id"], 0)
            assert (await client.answer(HEARTBEAT_LIMIT + 10)).status == "interrupted"
    assert backstage.message(silent, saved["reply_id"])["status"] == "interrupted"


async def test_sigterm_lets_a_running_answer_finish(
    serve: Serve, seat: TakeSeat, backstage: Backstage
) -> None:
    place, idle = seat("lorem-60-30"), seat()
    server = await serve()
    async with Client(server, place) as client, Client(server, idle) as other:
        await client.say("go")
        message_id = await client.written()
        server.signal(signal.SIGTERM)
        asked = time.monotonic()
        assert await other.closed(2) == 1012
        assert await client.closed(2) == 1012
        assert time.monotonic() - asked < 1
        with pytest.raises((OSError, WebSocketException)):
            async with Client(server, idle):
                pass
    assert await asyncio.to_thread(server.wait, 10) == 0
    answer = backstage.message(place, message_id)
    assert answer["status"] == "complete"
    assert len(answer["text"].split()) == 60


async def test_sigint_ends_at_once(serve: Serve, seat: TakeSeat, backstage: Backstage) -> None:
    place, idle, silent = seat("lorem-2000-20"), seat(), seat("hang-first")
    server = await serve()
    async with (
        Client(server, place) as client,
        Client(server, idle) as other,
        Client(server, idle, auth=None) as stranger,
        Client(server, silent) as waiting,
    ):
        await waiting.say("go")
        hanging = (await waiting.until("saved"))[-1]["reply_id"]
        await client.say("go")
        message_id = await client.written(length=30)
        seen = client.following[message_id].text
        server.signal(signal.SIGINT)
        asked = time.monotonic()
        assert await other.closed(2) == 1012
        assert await client.closed(2) == 1012
        assert await waiting.closed(2) == 1012
        await stranger.closed(6)
    assert await asyncio.to_thread(server.wait, 5) == 0
    assert time.monotonic() - asked < 5
    answer = backstage.message(place, message_id)
    assert answer["status"] == "interrupted"
    assert answer["text"].startswith(seen)
    assert backstage.message(silent, hanging)["status"] == "interrupted"


async def test_sigint_after_sigterm_waits_no_longer(
    serve: Serve, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-2000-20")
    server = await serve()
    async with Client(server, place) as client:
        await client.say("go")
        message_id = await client.written()
        server.signal(signal.SIGTERM)
        assert await client.closed(2) == 1012
    server.signal(signal.SIGINT)
    assert await asyncio.to_thread(server.wait, 5) == 0
    assert backstage.message(place, message_id)["status"] == "interrupted"
