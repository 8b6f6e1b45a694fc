"""Access that ends: the sockets concerned close with 4003 within a second, and no others."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Person, Place, Seat
from tests.live.servers import Server
from tests.upstream import Upstream

Withdraw = Callable[[Backstage, Seat, str], None]

# How a person's access can end; the last argument is the key of the session the socket is bound to.
WAYS: dict[str, Withdraw] = {
    "membership removed": lambda b, s, _: b.remove_member(s.person),
    "role changed": lambda b, s, _: b.set_role(s.person, "admin"),
    "user deactivated": lambda b, s, _: b.deactivate(s.person),
    "password changed": lambda b, s, _: b.set_password(s.person, "another-Password-1"),
    "session deleted": lambda b, _, key: b.end_session(key),
    "workspace suspended": lambda b, s, _: b.suspend(s.person.place),
    "workspace deleted": lambda b, s, _: b.delete_workspace(s.person.place),
}


@pytest.mark.parametrize("way", WAYS)
async def test_the_socket_closes(
    server: Server, backstage: Backstage, new_place: Place, acme: Place, way: str
) -> None:
    place = backstage.seat(new_place)
    session = backstage.session(place.person)
    bystander = backstage.seat(acme)
    elsewhere = None
    if way not in ("user deactivated", "password changed"):
        # The same user in another workspace, by another session: untouched by what happens here.
        there = backstage.join(place.person, acme)
        elsewhere = backstage.seat(acme, person=there)
    async with (
        Client(server, place, auth=place.person.auth(session=session)) as client,
        Client(server, bystander) as other,
        Client(server, elsewhere or bystander) as third,
    ):
        WAYS[way](backstage, place, session)
        began = time.monotonic()
        assert await client.closed(2) == 4003
        assert time.monotonic() - began < 1
        await other.quiet()
        await third.quiet()
        assert (await other.ask("still here")).text == "still here"


@pytest.mark.parametrize("way", ["membership removed", "role changed", "user deactivated"])
async def test_a_colleague_stays(server: Server, backstage: Backstage, new_place: Place, way: str) -> None:
    place, colleague = backstage.seat(new_place), backstage.seat(new_place)
    async with Client(server, place) as client, Client(server, colleague) as other:
        WAYS[way](backstage, place, "")
        assert await client.closed(2) == 4003
        await other.quiet()


async def test_all_sockets_of_the_person_close(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    place = backstage.seat(new_place)
    async with (
        Client(server, place) as one,
        Client(server, place) as two,
        Client(server, backstage.another(place)) as three,
    ):
        backstage.remove_member(place.person)
        for client in (one, two, three):
            assert await client.closed(2) == 4003


async def test_only_the_sockets_of_the_session_that_ended_close(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    phone, laptop = backstage.session(place.person), backstage.session(place.person)
    async with (
        Client(server, place, auth=place.person.auth(session=phone)) as one,
        Client(server, place, auth=place.person.auth(session=laptop)) as two,
        Client(server, place) as three,
    ):
        backstage.end_session(phone)
        assert await one.closed(2) == 4003
        await two.quiet()
        await three.quiet()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "role changed"])
async def test_a_message_of_the_same_instant_is_not_answered(
    server: Server, backstage: Backstage, new_place: Place, upstream: Upstream, way: str
) -> None:
    """The change has committed, no notice of it has come: the message must not slip in."""
    place = backstage.seat(new_place)
    mark = str(uuid4())
    session = backstage.session(place.person)
    async with Client(server, place, auth=place.person.auth(session=session)) as client:
        backstage.deafen()
        WAYS[way](backstage, place, session)
        await client.say(mark)
        assert await client.closed(5) == 4003
        # Refused, unless the look that follows the silence has closed the socket even before that.
        assert {f.get("code") for f in client.frames if f["type"] == "error"} <= {"forbidden"}
        assert not [f for f in client.frames if f["type"] in ("saved", "chunk", "done", "message")]
    assert not [r for r in upstream.requests() if r["messages"][-1]["content"] == mark]
    if way != "workspace deleted":
        assert backstage.messages(place) == []


async def test_a_running_answer_is_not_shown_any_more(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    place = backstage.seat(new_place, "lorem-200-100")
    async with Client(server, place) as client:
        await client.say("go")
        await client.written()
        backstage.remove_member(place.person)
        assert await client.closed(2) == 4003
        assert not [f for f in client.frames if f["type"] == "done"]


async def test_a_handshake_of_the_same_instant(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    """Sockets that are just opening when the workspace is suspended: refused or closed, none left open."""
    import asyncio

    seats = [backstage.seat(new_place) for _ in range(5)]

    async def visit(place: Seat) -> int | None:
        async with Client(server, place, auth=None) as client:
            await client.send(place.person.auth())
            return await client.closed(5)

    tasks = [asyncio.create_task(visit(place)) for place in seats]
    await asyncio.sleep(0)
    await asyncio.to_thread(backstage.suspend, new_place)
    assert {await task for task in tasks} <= {4001, 4003}


async def test_nothing_that_is_not_an_end_closes_a_socket(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    async with Client(server, place) as client:
        backstage.join(place.person, place.person.place, role="member")
        backstage.hire(place.person.place, "echo")
        backstage.session(place.person)
        somebody: Person = backstage.person(place.person.place)
        backstage.set_role(somebody, "admin")
        assert (await client.ask("still here")).text == "still here"
