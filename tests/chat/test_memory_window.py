"""The window as it reaches the model: at hand where it is right, read anew wherever it may not be."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from tests.chat.conftest import Serve, TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Seat
from tests.live.servers import Server
from tests.live.valkey import Valkey
from tests.upstream import Upstream


def said(upstream: Upstream, question: str) -> list[str]:
    """What the newest request with this message shows of the conversation before it."""
    asked = [r for r in upstream.requests() if r["messages"][-1]["content"] == question]
    return [message["content"] for message in asked[-1]["messages"][1:-1]]


def new() -> str:
    return f"question {uuid4()}"


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


async def test_at_hand_the_branch_is_not_read(
    alone: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    """Seen from outside: a text changed behind the server's back is not in the next prompts."""
    place = seat()
    async with Client(alone, place) as client:
        first = await client.ask("as it was")
        backstage.rewrite(place, first.first("saved")["message_id"], "changed")
        for number in range(3):
            await client.ask(mark := new())
            assert said(upstream, mark)[0] == "as it was", number
        backstage.rewrite(place, first.first("saved")["message_id"], "as it was")
    async with Client(alone, place) as client:
        await client.ask(mark := new())
        assert said(upstream, mark)[:2] == ["as it was", "as it was"]


async def test_what_was_said_elsewhere_is_read(
    alone: Server, serve: Serve, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    """By a process that shares nothing with this one but the database."""
    one, other = alone, await serve(KONSTRUCT_PROCESSES="1")
    place = seat()
    async with Client(one, place) as here, Client(other, place) as there:
        asked: list[str] = []
        for client in (here, there, here, here, there, there, here):
            await client.ask(mark := new())
            if client is here:
                await there.answer()
            else:
                await here.answer()
            assert said(upstream, mark) == [text for text in asked for _ in range(2)]
            asked.append(mark)


async def test_through_redis_the_next_process_has_it_at_hand(
    serve: Serve, seat: TakeSeat, backstage: Backstage, upstream: Upstream, valkey: Valkey
) -> None:
    one = await serve(REDIS_URL=valkey.url, KONSTRUCT_PROCESSES="1")
    other = await serve(REDIS_URL=valkey.url, KONSTRUCT_PROCESSES="1")
    place = seat()
    async with Client(one, place) as here, Client(other, place) as there:
        first = await here.ask("as it was")
        await there.answer()
        backstage.rewrite(place, first.first("saved")["message_id"], "changed")
        await there.ask(mark := new())
        await here.answer()
        assert said(upstream, mark) == ["as it was", "as it was"]
        # Kept by workspace, employee, user and conversation, and not for ever.
        with redis.Redis.from_url(valkey.url) as plain:
            name = f"konstruct:window:ws_acme:{place.agent}:{place.person.id}:{place.conversation}"
            assert name.encode() in plain.keys("*") and 0 < plain.ttl(name) <= 3600  # type: ignore[operator]
        # Without Redis nothing is lost: it is read, as it is stored now.
        valkey.kill()
        for client, silent in ((here, there), (there, here)):
            await client.ask(mark := new())
            await silent.answer()
            assert said(upstream, mark)[:2] == ["changed", "as it was"]
        valkey.start()
        backstage.rewrite(place, first.first("saved")["message_id"], "as it was")
    for server in (one, other):
        async with Client(server, place) as client:
            await client.ask(mark := new())
            assert said(upstream, mark)[:2] == ["as it was", "as it was"]
            assert len(said(upstream, mark)) % 2 == 0


async def test_each_version_has_its_own_window(
    alone: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    """Edited, answered anew, and back to the first version, with and without a window at hand."""
    place = seat()
    async with Client(alone, place) as client:
        await client.ask("one")
        two = await client.ask("two")
        await client.ask("three")
        question = two.first("saved")["message_id"]
        await client.send({"type": "edit", "messageId": question, "text": (edited := new())})
        await client.answer()
        assert said(upstream, edited) == ["one", "one"]
        await client.ask(mark := new())
        assert said(upstream, mark) == ["one", "one", edited, edited]
        _choose(alone, backstage, place, two.id)
        await client.ask(mark := new())
        assert said(upstream, mark) == ["one", "one", "two", "two", "three", "three"]
        await client.send({"type": "regenerate", "messageId": two.id})
        again = await client.answer()
        assert said(upstream, "two") == ["one", "one"]
        await client.ask(mark := new())
        assert said(upstream, mark) == ["one", "one", "two", again.text]


def _choose(server: Server, backstage: Backstage, place: Seat, message_id: str) -> None:
    with httpx.Client(base_url=server.url, cookies={"sessionid": backstage.session(place.person)}) as http:
        http.get("/")
        token = http.cookies.get("csrftoken") or ""
        url = f"/api/conversations/{place.conversation}/select"
        answer = http.post(url, json={"message_id": message_id}, headers={"X-CSRFToken": token})
        assert answer.status_code == 200, answer.text


async def test_of_a_failed_answer_only_the_question_is_said_again(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    """Not even the half that was written; and speakers take turns, with the window at hand and without."""
    place = seat("close-mid")
    echo = backstage.hire(place.person.place, "echo")
    async with Client(server, place) as client:
        failed = await client.ask("broken")
        assert failed.status == "failed" and failed.text
        for _ in range(2):
            await client.ask(mark := new(), agentId=echo)
            window = said(upstream, mark)
            roles = [m["role"] for m in _request(upstream, mark)["messages"]]
            assert roles == ["system", *["user", "assistant"] * (len(roles) // 2 - 1), "user"]
            assert failed.text not in window
            assert "broken" in window[0]


async def test_a_stopped_answer_is_said_again_as_far_as_it_was_written(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat("slow-30")
    echo = backstage.hire(place.person.place, "echo")
    async with Client(server, place) as client:
        await client.say("a b c d e f g h i j k l m n o p q r s t u v w x y z")
        await client.written(length=4)
        await client.send({"type": "stop"})
        stopped = (await client.until("done"))[-1]
        assert stopped["status"] == "stopped" and stopped["text"]
        await client.ask(mark := new(), agentId=echo)
        assert said(upstream, mark)[1] == stopped["text"]


def _request(upstream: Upstream, question: str) -> dict[str, Any]:
    return [r for r in upstream.requests() if r["messages"][-1]["content"] == question][-1]


async def test_a_window_at_hand_is_of_no_use_without_its_conversation(
    alone: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat()
    async with Client(alone, place) as client:
        await client.ask("hello")
        count = len(upstream.requests())
        backstage.delete_conversation(place, unheard=True)
        await client.say("still there?")
        await client.until("error")
        assert len(upstream.requests()) == count
