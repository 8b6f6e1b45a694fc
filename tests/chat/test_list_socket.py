"""The socket of a user's list: what changes is told to those whose list it is, and to nobody else; and the
sockets of a conversation that is deleted close."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import PATIENCE, Client, Frame
from tests.live.people import Person, Place, Seat
from tests.live.servers import Server


@asynccontextmanager
async def listen(server: Server, person: Person, **claims: Any) -> AsyncIterator[ClientConnection]:
    """A list's socket that has said who it is; what it hears first is yet to be read."""
    async with connect(
        f"ws://localhost:{server.port}/chat/list",
        host="127.0.0.1",
        port=server.port,
        proxy=None,
        compression=None,
    ) as socket:
        await socket.send(json.dumps(person.auth(**claims)))
        yield socket


async def hear(socket: ClientConnection, kind: str) -> Frame:
    async with asyncio.timeout(PATIENCE):
        frame: Frame = json.loads(await socket.recv())
    assert frame["type"] == kind, frame
    return frame


async def quiet(socket: ClientConnection) -> None:
    await socket.send('{"type":"ping"}')
    await hear(socket, "pong")


def http(server: Server, backstage: Backstage, person: Person) -> httpx.Client:
    """The HTTP API as this person's other device uses it."""
    client = httpx.Client(base_url=server.url, timeout=30)
    client.cookies.set("sessionid", backstage.session(person))
    client.cookies.set("csrftoken", "x" * 32)
    client.headers["X-CSRFToken"] = "x" * 32
    return client


async def call(client: httpx.Client, method: str, path: str, **body: Any) -> Any:
    sent = body if method in ("POST", "PATCH") else None
    response = await asyncio.to_thread(client.request, method, path, json=sent)
    assert response.is_success, response.text
    return response.json() if response.content else None


async def test_a_list_hears_of_all_that_changes_in_it(
    server: Server, backstage: Backstage, seat: TakeSeat
) -> None:
    mine, other = seat(), seat()
    with http(server, backstage, mine.person) as device:
        async with listen(server, mine.person) as socket, listen(server, other.person) as theirs:
            for one in (socket, theirs):
                await hear(one, "ready")
            url = f"/api/conversations/{mine.conversation}"
            made = await call(device, "POST", "/api/conversations")
            heard = (await hear(socket, "listed"))["conversation"]
            assert heard.keys() == made.keys() and heard["id"] == made["id"]
            await call(device, "PATCH", url, title="Plans")
            heard = (await hear(socket, "listed"))["conversation"]
            assert heard["id"] == mine.conversation and heard["title"] == "Plans"
            await call(device, "PATCH", url, pinned=True)
            assert (await hear(socket, "listed"))["conversation"]["pinned_at"]
            await call(device, "PATCH", url, archived=True)
            heard = (await hear(socket, "listed"))["conversation"]
            assert heard["archived_at"] and not heard["pinned_at"]
            # Going on takes it out of the archive, and to the top: told when the turn begins.
            async with Client(server, mine) as client:
                await client.ask("hello")
            again = (await hear(socket, "listed"))["conversation"]
            assert again["archived_at"] is None and again["updated_at"] > heard["updated_at"]
            await call(device, "DELETE", url)
            while (frame := json.loads(await socket.recv()))["type"] == "listed":
                # The first answer found a title, unless it was given one before.
                assert frame["conversation"]["id"] == mine.conversation
            assert frame == {"type": "gone", "conversation_id": mine.conversation}
            await call(device, "POST", f"{url}/restore")
            assert (await hear(socket, "listed"))["conversation"]["id"] == mine.conversation
            await quiet(theirs)


async def test_another_process_hears_it_too(
    server: Server, strict: Server, backstage: Backstage, seat: TakeSeat
) -> None:
    mine = seat()
    with http(server, backstage, mine.person) as device:
        async with listen(strict, mine.person) as socket:
            await hear(socket, "ready")
            await call(device, "PATCH", f"/api/conversations/{mine.conversation}", title="From afar")
            assert (await hear(socket, "listed"))["conversation"]["title"] == "From afar"


async def test_the_same_user_elsewhere_has_another_list(
    server: Server, backstage: Backstage, acme: Place, globex: Place, seat: TakeSeat
) -> None:
    here, there = seat(), seat(place=globex)
    async with listen(server, there.person) as socket:
        await hear(socket, "ready")
        backstage.conversation(here.person)
        await quiet(socket)


@pytest.mark.parametrize("claim", [{"role": "owner"}, {"token": "nonsense"}, {"userId": "0" * 32}])
async def test_the_lists_socket_asks_who_one_is(server: Server, seat: TakeSeat, claim: Any) -> None:
    async with listen(server, seat().person, **claim) as socket:
        await hear(socket, "error")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd and closed.value.rcvd.code == 4001


async def test_it_takes_no_messages_and_closes_with_the_membership(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    mine = backstage.seat(new_place, "echo")
    async with listen(server, mine.person) as socket:
        await hear(socket, "ready")
        await socket.send('{"type":"message","text":"hello"}')
        assert (await hear(socket, "error"))["code"] == "bad_frame"
        await quiet(socket)
        backstage.remove_member(mine.person)
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(PATIENCE):
                await socket.recv()
        assert closed.value.rcvd and closed.value.rcvd.code == 4003


async def test_deleting_closes_the_conversations_sockets_and_stops_its_answer(
    server: Server, strict: Server, backstage: Backstage, seat: TakeSeat
) -> None:
    mine = seat("slow-300")
    with http(server, backstage, mine.person) as device:
        # Another server's socket closes as well.
        async with Client(server, mine) as client, Client(strict, mine) as elsewhere:
            await client.say(" ".join(["word"] * 200))
            await client.written()
            await call(device, "DELETE", f"/api/conversations/{mine.conversation}")
            assert await client.closed() == 4004 and await elsewhere.closed() == 4004
        async with Client(server, mine, auth=None) as late:
            await late.send(mine.person.auth())
            assert await late.closed() == 4004
        await call(device, "POST", f"/api/conversations/{mine.conversation}/restore")
        async with asyncio.timeout(PATIENCE):
            while True:
                page = await call(device, "GET", f"/api/conversations/{mine.conversation}/messages")
                if page["items"][0]["status"] != "running":
                    break
        assert page["items"][0]["status"] == "stopped"


async def test_what_the_admin_deletes_for_good_closes_them_too(
    server: Server, backstage: Backstage, seat: TakeSeat
) -> None:
    mine = seat()
    async with Client(server, mine) as client, listen(server, mine.person) as socket:
        await hear(socket, "ready")
        backstage.delete_conversation(mine)
        assert await client.closed() == 4004
        await hear(socket, "gone")


async def test_after_a_time_in_which_nothing_was_heard_lists_are_fetched_anew(
    serve: Any, backstage: Backstage, seat: TakeSeat
) -> None:
    server = await serve()
    mine: Seat = seat()
    async with Client(server, mine) as client, listen(server, mine.person) as socket:
        await hear(socket, "ready")
        backstage.delete_conversation(mine, unheard=True)
        assert await client.closed() == 4004
        await hear(socket, "missed")
