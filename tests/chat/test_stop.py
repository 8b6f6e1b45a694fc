"""`stop`: who may end an answer, and what is left of it."""

import asyncio
import time
from uuid import uuid4

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.servers import Server
from tests.upstream import Upstream

LONG = "lorem-2000-100"


async def test_the_asker_stops_the_answer(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat(LONG)
    async with Client(server, place) as client:
        await client.say("write a lot")
        message_id = await client.written(length=40)
        await client.send({"type": "stop", "messageId": message_id})
        answer = await client.answer(2)
        assert answer.id == message_id
        assert answer.status == "stopped"
        assert 40 <= len(answer.text) < 2000
        assert answer.done["usage"]["completion_tokens"] > 0
        await client.quiet()
    stored = backstage.message(place, message_id)
    assert (stored["text"], stored["status"]) == (answer.text, "stopped")
    assert stored["usage_estimated"] is True


async def test_another_tab_stops_the_answer(server: Server, seat: TakeSeat) -> None:
    place = seat(LONG)
    async with Client(server, place) as asker, Client(server, place) as tab:
        await asker.say("write a lot")
        await tab.written()
        await tab.send({"type": "stop"})
        one, two = await asyncio.gather(asker.answer(2), tab.answer(2))
        assert one.done["text"] == two.done["text"]
        assert one.status == two.status == "stopped"
        await asyncio.gather(asker.quiet(), tab.quiet())


async def test_a_socket_that_came_later_stops_the_answer_without_following_it(
    server: Server, seat: TakeSeat
) -> None:
    place = seat(LONG)
    async with Client(server, place) as asker:
        await asker.say("write a lot")
        message_id = await asker.written()
        async with Client(server, place) as late:
            assert late.ready["active"]["message_id"] == message_id
            await late.send({"type": "stop", "messageId": message_id})
            assert (await asker.answer(2)).status == "stopped"


async def test_stop_closes_the_providers_stream(server: Server, seat: TakeSeat, upstream: Upstream) -> None:
    """So that no token is paid for that nobody reads."""
    mark = str(uuid4())
    async with Client(server, seat(LONG)) as client:
        await client.say(mark)
        await client.written()
        stopped = time.monotonic()
        await client.send({"type": "stop"})
        await client.answer(2)
    await provider_closed(upstream, mark, stopped)


async def test_stop_before_the_first_token(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    mark = str(uuid4())
    place = seat("hang-first")
    async with Client(server, place) as client:
        await client.say(mark)
        await client.until("saved")
        async with asyncio.timeout(10):
            while not requests_with(upstream, mark):  # noqa: ASYNC110  (another process's doing)
                await asyncio.sleep(0.01)
        stopped = time.monotonic()
        await client.send({"type": "stop"})
        answer = await client.answer(2)
        assert (answer.status, answer.text) == ("stopped", "")
    await provider_closed(upstream, mark, stopped)
    assert backstage.message(place, answer.id)["status"] == "stopped"


async def test_stop_right_behind_the_message(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    """Before anything is stored: either it is too early, or the answer ends; never half of each."""
    place = seat("lorem-20-40")
    for _ in range(5):
        async with Client(server, place) as client:
            await client.say("go")
            await client.send({"type": "stop"})
            answer = await client.answer()
            refused = [f for f in answer.frames if f["type"] == "error"]
            assert answer.status == ("complete" if refused else "stopped")
            await client.quiet()
    assert {m["status"] for m in backstage.messages(place)} <= {"complete", "stopped"}


async def test_stop_twice(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat(LONG)) as client:
        await client.say("write a lot")
        await client.written()
        await client.send({"type": "stop"})
        await client.send({"type": "stop"})
        got = await client.until("done", 2)
        assert got[-1]["status"] == "stopped"
        assert [f for f in got if f["type"] == "done"] == got[-1:]
        # The second one came while it ended, or after it.
        await client.send({"type": "ping", "ref": "end"})
        rest = await client.until("pong")
        assert [f.get("code") for f in rest[:-1]] in ([], ["not_found"])


async def test_stop_with_nothing_running(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        await client.send({"type": "stop", "ref": "s"})
        await client.error(code="not_found", ref="s")
        answer = await client.ask("hello")
        await client.send({"type": "stop", "messageId": answer.id})
        await client.error(code="not_found", message_id=answer.id)
        await client.quiet()


async def test_stop_of_an_earlier_answer_leaves_the_running_one(server: Server, seat: TakeSeat) -> None:
    place = seat("lorem-20-40")
    async with Client(server, place) as client:
        first = await client.ask("first")
        await client.say("second")
        await client.written()
        await client.send({"type": "stop", "messageId": first.id})
        got = await client.until("done")
        assert [f["code"] for f in got if f["type"] == "error"] == ["not_found"]
        assert got[-1]["status"] == "complete"


async def test_the_next_message_after_a_stop(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    """It is answered, and what was written until the stop is part of the conversation."""
    mark = str(uuid4())
    place = seat(LONG)
    echo = backstage.hire(place.person.place, "echo")
    async with Client(server, place) as client:
        await client.say("write a lot")
        await client.written(length=20)
        await client.send({"type": "stop"})
        stopped = await client.answer(2)
        answer = await client.ask(mark, agentId=echo)
        assert answer.text == mark
    said = [m["content"] for m in requests_with(upstream, mark)[-1]["messages"][1:]]
    assert said == ["write a lot", stopped.text, mark]


def requests_with(upstream: Upstream, text: str) -> list[dict[str, object]]:
    return [r for r in upstream.requests() if r["messages"][-1]["content"] == text]


async def provider_closed(upstream: Upstream, mark: str, since: float) -> None:
    """The upstream saw the connection close within a second of `since`."""
    async with asyncio.timeout(5):
        while requests_with(upstream, mark)[0]["closed_early"] is None:  # noqa: ASYNC110  (another process's doing)
            await asyncio.sleep(0.01)
    request = requests_with(upstream, mark)[0]
    assert request["closed_early"] is True
    assert request["ended_at"] - since < 1.0  # type: ignore[operator]
