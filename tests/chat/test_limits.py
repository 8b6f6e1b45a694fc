"""How much one user may ask of a server: three messages a minute and two sockets, here."""

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.servers import Server


async def test_too_many_messages(strict: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    async with Client(strict, place) as client:
        for number in range(3):
            await client.ask(f"message {number}")
        await client.say("one too many", ref="r")
        error = await client.error(code="rate_limited", ref="r")
        assert 15 < error["retry_after"] <= 20
        await client.quiet()
    assert len(backstage.messages(place)) == 6


async def test_the_limit_is_the_users_on_all_sockets(
    strict: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    here = seat()
    there = backstage.another(here)
    async with Client(strict, here) as one, Client(strict, there) as two:
        await one.ask("1")
        await two.ask("2")
        answer = await one.ask("3")
        await two.say("4")
        await two.error(code="rate_limited")
        # What costs no answer goes on.
        await one.resume(answer.id, 0)
        await one.answer()
        await one.quiet()


@pytest.mark.parametrize("kind", ["regenerate", "edit"])
async def test_every_way_to_an_answer_counts(strict: Server, seat: TakeSeat, kind: str) -> None:
    async with Client(strict, seat()) as client:
        answer = await client.ask("1")
        target = answer.id if kind == "regenerate" else answer.first("saved")["message_id"]
        frame = {"type": kind, "messageId": target, **({"text": "2"} if kind == "edit" else {})}
        for _ in range(2):
            await client.send(frame)
            await client.answer()
        await client.send(frame)
        await client.error(code="rate_limited")


async def test_one_users_limit_is_not_anothers(strict: Server, seat: TakeSeat) -> None:
    async with Client(strict, seat()) as greedy, Client(strict, seat()) as other:
        for number in range(3):
            await greedy.ask(str(number))
        await greedy.say("4")
        await greedy.error(code="rate_limited")
        assert (await other.ask("hello")).status == "complete"


async def test_too_many_connections(strict: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(strict, place) as one, Client(strict, place) as two:
        async with Client(strict, place, auth=None) as three:
            await three.send(place.person.auth())
            assert await three.closed() == 4029
            assert [f["code"] for f in three.frames if f["type"] == "error"] == ["rate_limited"]
        async with Client(strict, seat()) as other:
            await other.quiet()
        await one.quiet()
        await two.quiet()


async def test_a_refused_connection_was_never_ready(strict: Server, seat: TakeSeat) -> None:
    """A client that reads `ready` starts to work: it must not be told so and then sent away."""
    place = seat()
    async with Client(strict, place), Client(strict, place), Client(strict, place, auth=None) as three:
        await three.send(place.person.auth())
        assert await three.closed() == 4029
        assert [f["type"] for f in three.frames] == ["error"]


@pytest.mark.parametrize("how", ["close", "drop"])
async def test_the_place_of_a_closed_connection_is_free(strict: Server, seat: TakeSeat, how: str) -> None:
    place = seat()
    async with Client(strict, place):
        for _ in range(5):
            async with Client(strict, place) as client:
                if how == "drop":
                    client.drop()
            # The server learns of a drop in its own time, though soon.
            await free(strict, place)


async def free(server: Server, place: object) -> None:
    for _ in range(50):
        async with Client(server, place, auth=None) as client:  # type: ignore[arg-type]
            await client.send(place.person.auth())  # type: ignore[attr-defined]
            frame = await client.receive()
            if frame["type"] == "ready":
                await client.send({"type": "ping"})
                if (await client.receive())["type"] == "pong":
                    return
    raise AssertionError("the place is still taken")


async def test_connections_that_never_authenticate_take_no_place(strict: Server, seat: TakeSeat) -> None:
    place = seat()
    async with (
        Client(strict, place, auth=None),
        Client(strict, place, auth=None),
        Client(strict, place, auth=None),
        Client(strict, place) as client,
    ):
        await client.quiet()
