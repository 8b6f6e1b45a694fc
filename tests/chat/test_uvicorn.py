"""The same application under uvicorn: a conversation, the close codes, and an end in good order."""

import asyncio
import signal

import pytest
from websockets.exceptions import InvalidStatus

from tests.chat.conftest import Serve, TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Place


@pytest.mark.slow
async def test_under_uvicorn(serve: Serve, seat: TakeSeat, backstage: Backstage, new_place: Place) -> None:
    server = await serve(uvicorn=True)
    place = seat()
    async with Client(server, place) as client:
        answer = await client.ask("hello there")
        assert answer.types == ["typing", "saved", "chunk", "done"]
        assert answer.text == "hello there"
        await client.send(b"\x00")
        await client.error(code="bad_frame")
        await client.send("x" * (64 * 1024 + 1))
        assert await client.closed() == 1009
    async with Client(server, place, auth=None) as client:
        await client.send("nonsense")
        assert await client.closed() == 4001
    async with Client(server, place, auth=None, conversation=seat().conversation) as client:
        await client.send(place.person.auth())
        assert await client.closed() == 4004
    with pytest.raises(InvalidStatus) as refusal:
        async with Client(server, place, auth=None, origin="http://evil.example"):
            pass
    assert refusal.value.response.status_code == 403
    leaver = backstage.seat(new_place)
    async with Client(server, leaver) as client:
        backstage.suspend(new_place)
        assert await client.closed(2) == 4003

    running = seat("lorem-40-30")
    async with Client(server, running) as client, Client(server, place) as idle:
        await client.say("go")
        message_id = await client.written()
        server.signal(signal.SIGTERM)
        assert await client.closed(5) == 1012
        assert await idle.closed(5) == 1012
    # uvicorn ends by the signal it got, once it is done.
    assert await asyncio.to_thread(server.wait, 15) in (0, -signal.SIGTERM)
    stored = backstage.message(running, message_id)
    assert stored["status"] == "complete"
    assert len(stored["text"].split()) == 40
