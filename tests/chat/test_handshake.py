"""Who gets in, and what each wrong thing gets (PROTOCOL.md, Handshake)."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Place, Seat
from tests.live.servers import Server, manage


async def refused(server: Server, seat: Seat, first: Any, code: int = 4001, **options: Any) -> Client:
    """Connect, send `first`; the answer must be one error frame and the close code."""
    async with Client(server, seat, auth=None, **options) as client:
        if first is not None:
            await client.send(first)
        assert await client.closed() == code
    errors = {4001: "not_authenticated", 4004: "not_found"}
    assert [f["type"] for f in client.frames] == ["error"]
    assert client.frames[0]["code"] == errors[code]
    return client


async def test_a_plain_client_gets_in(server: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(server, place) as client:
        ready = client.ready
        assert ready["conversation_id"] == place.conversation
        assert ready["agent"]["id"] == place.agent
        assert ready["last_message_id"] is None
        assert ready["active"] is None
        await client.quiet()


async def test_a_trailing_slash_is_accepted(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat(), slash="/") as client:
        await client.quiet()


async def test_what_chat_token_prints_can_be_sent(server: Server, backstage: Backstage, acme: Place) -> None:
    person = backstage.person(acme, role="admin")
    lines = manage("chat_token", person.email, acme.slug, "--conversations", "2").splitlines()
    made = [json.loads(line) for line in lines]
    assert len({line["conversation_id"] for line in made}) == 2
    for line in made:
        async with Client(server, auth=line["auth"], conversation=line["conversation_id"]) as client:
            assert (await client.ask("hello")).text == "hello"


@pytest.mark.parametrize("claim", ["userId", "role", "tenantId"])
@pytest.mark.parametrize("value", ["forged", "no uuid", None, 7])
async def test_a_forged_claim(server: Server, seat: TakeSeat, claim: str, value: Any) -> None:
    place = seat()
    if value == "forged":
        value = "owner" if claim == "role" else str(uuid4())
    await refused(server, place, place.person.auth(**{claim: value}))


@pytest.mark.parametrize("claim", ["userId", "role", "tenantId", "token"])
async def test_a_claim_is_missing(server: Server, seat: TakeSeat, claim: str) -> None:
    place = seat()
    frame = place.person.auth()
    del frame[claim]
    await refused(server, place, frame)


async def test_a_claim_too_many(server: Server, seat: TakeSeat) -> None:
    place = seat()
    await refused(server, place, place.person.auth(superuser=True))


async def test_the_token_of_another_user(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    other = backstage.person(place.person.place)
    await refused(server, place, place.person.auth(token=other.auth()["token"]))


async def test_the_token_of_another_user_with_its_claims(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    """All true, but the conversation is somebody else's."""
    other = backstage.person(seat().person.place)
    await refused(server, seat(), other.auth(), 4004)


async def test_the_token_of_another_workspace(
    server: Server, seat: TakeSeat, backstage: Backstage, globex: Place
) -> None:
    place = seat()
    elsewhere = backstage.join(place.person, globex)
    await refused(server, place, place.person.auth(token=elsewhere.auth()["token"]))
    await refused(server, place, elsewhere.auth(), 4004)


async def test_an_expired_token(server: Server, seat: TakeSeat) -> None:
    place = seat()
    frame = place.person.auth(ttl=1)
    async with Client(server, place, auth=frame):
        pass
    # Tokens tell the time in whole seconds, so one of a second may live for almost two.
    await asyncio.sleep(2.1)
    await refused(server, place, frame)


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t[1:],
        lambda t: t + "=",
        lambda t: "." + t,
        lambda t: t.replace(":", "."),
        lambda t: "",
        lambda t: "\x00",
        lambda t: "x" * 40_000,
        lambda t: "💥:💥:💥",
    ],
)
async def test_a_damaged_token(server: Server, seat: TakeSeat, damage: Any) -> None:
    place = seat()
    await refused(server, place, place.person.auth(token=damage(place.person.auth()["token"])))


@pytest.mark.parametrize(
    "first",
    [
        {"type": "ping"},
        {"type": "message", "text": "let me in"},
        {"type": "resume", "messageId": str(uuid4()), "offset": 0},
        {"type": "nonsense"},
        "not json",
        "",
        "[]",
        "null",
        "7",
        '{"type":"auth"',
        "[" * 20_000,
        b"\x00\x01",
        b'{"type":"auth"}',
        b"",
    ],
)
async def test_a_wrong_first_frame(server: Server, seat: TakeSeat, first: Any) -> None:
    await refused(server, seat(), first)


async def test_the_ref_of_a_wrong_first_frame_comes_back(server: Server, seat: TakeSeat) -> None:
    client = await refused(server, seat(), {"type": "ping", "ref": "r1"})
    assert client.frames[0]["ref"] == "r1"


async def test_ready_carries_the_ref_of_auth(server: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(server, place, auth=place.person.auth(ref="a1")) as client:
        assert client.ready.get("ref") == "a1"


@pytest.mark.slow
async def test_no_auth_frame_within_ten_seconds(server: Server, seat: TakeSeat) -> None:
    began = time.monotonic()
    await refused(server, seat(), None)
    assert 9.5 < time.monotonic() - began < 12


async def test_a_second_auth_frame_is_an_error(server: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(server, place) as client:
        await client.send(place.person.auth(ref="again"))
        await client.error(code="bad_frame", ref="again")
        await client.quiet()


@pytest.mark.parametrize("conversation", [str(uuid4()), "no-uuid", "1", "%00", "a%20b", "💥"])
async def test_an_unknown_conversation(server: Server, seat: TakeSeat, conversation: str) -> None:
    place = seat()
    await refused(server, place, place.person.auth(), 4004, conversation=conversation)


async def test_another_users_conversation(server: Server, seat: TakeSeat) -> None:
    mine, theirs = seat(), seat()
    await refused(server, mine, mine.person.auth(), 4004, conversation=theirs.conversation)


async def test_an_owner_does_not_get_into_a_members_conversation(
    server: Server, seat: TakeSeat, backstage: Backstage, acme: Place
) -> None:
    owner = backstage.person(acme, role="owner")
    await refused(server, seat(), owner.auth(), 4004)


async def test_another_workspaces_conversation(
    server: Server, seat: TakeSeat, backstage: Backstage, globex: Place
) -> None:
    """Even of the same user."""
    mine = seat()
    elsewhere = backstage.seat(globex, person=backstage.join(mine.person, globex))
    await refused(server, mine, mine.person.auth(), 4004, conversation=elsewhere.conversation)


async def test_the_host_of_the_workspace(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat(), host="acme.localhost") as client:
        await client.quiet()


@pytest.mark.parametrize("host", ["globex.localhost", "GLOBEX.localhost"])
async def test_the_host_of_another_workspace(
    server: Server, seat: TakeSeat, backstage: Backstage, globex: Place, host: str
) -> None:
    place = seat()
    backstage.join(place.person, globex)
    await refused(server, place, place.person.auth(), host=host)


async def test_a_suspended_workspace(server: Server, backstage: Backstage, new_place: Place) -> None:
    place = backstage.seat(new_place)
    backstage.suspend(new_place)
    await refused(server, place, place.person.auth())


async def test_a_user_who_is_not_active(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    backstage.deactivate(place.person)
    await refused(server, place, place.person.auth())


async def test_a_former_member(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    backstage.remove_member(place.person)
    await refused(server, place, place.person.auth())


async def test_a_former_role(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    backstage.set_role(place.person, "admin")
    await refused(server, place, place.person.auth())
    async with Client(server, place, auth=place.person.auth(role="admin")):
        pass


async def test_a_token_bound_to_a_session(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    session = backstage.session(place.person)
    async with Client(server, place, auth=place.person.auth(session=session)):
        pass
    frame = place.person.auth(session=session)
    backstage.end_session(session)
    await refused(server, place, frame)


async def test_a_token_of_a_session_whose_time_is_over(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    session = backstage.session(place.person)
    backstage.expire_session(session)
    await refused(server, place, place.person.auth(session=session))


async def test_a_token_bound_to_another_users_session(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place, other = seat(), seat()
    await refused(server, place, place.person.auth(session=backstage.session(other.person)))


async def test_a_signed_in_browser_gets_in_until_it_signs_out(
    server: Server, backstage: Backstage, acme: Place
) -> None:
    password = "a-long-Password-1"
    person = backstage.person(acme, password=password)
    place = backstage.seat(acme, person=person)
    async with httpx.AsyncClient(
        base_url=server.url, headers={"Host": f"localhost:{server.port}"}
    ) as browser:
        await browser.get("/sign-in/")
        form = {"username": person.email, "password": password, **csrf(browser)}
        assert (await browser.post("/sign-in/", data=form)).status_code == 302
        asked = await browser.post("/api/token", headers={"X-CSRFToken": browser.cookies["csrftoken"]})
        assert asked.status_code == 200, asked.text
        frame = asked.json()["auth"]
        async with Client(server, place, auth=frame) as client:
            assert (await client.ask("hello")).text == "hello"
            assert (await browser.post("/sign-out/", data=csrf(browser))).status_code == 302
            assert await client.closed(1) == 4003
        await refused(server, place, frame)


def csrf(browser: httpx.AsyncClient) -> dict[str, str]:
    return {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
