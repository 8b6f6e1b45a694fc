"""`resume`: any offset, any number of times, from any socket, running or finished."""

import asyncio

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.servers import Server

TEXT = "👩‍👩‍👧 e\u0301 漢字 😀 ab \ufffdx"  # what the model `unicode` answers


@pytest.mark.parametrize("offset", range(len(TEXT) + 1))
async def test_a_finished_answer_from_any_code_point(server: Server, seat: TakeSeat, offset: int) -> None:
    place = seat("unicode")
    async with Client(server, place) as client:
        first = await client.ask("anything")
    async with Client(server, place) as client:
        await client.resume(first.id, offset)
        answer = await client.answer()
        assert [(c["offset"], c["text"]) for c in answer.chunks] == (
            [(offset, TEXT[offset:])] if offset < len(TEXT) else []
        )
        assert answer.done["text"] == TEXT
        assert answer.done["status"] == "complete"
        assert answer.done["usage"] == first.done["usage"]
        await client.quiet()


@pytest.mark.parametrize("past", [1, 1000, 2**31, 2**53])
async def test_a_finished_answer_from_past_its_end(server: Server, seat: TakeSeat, past: int) -> None:
    async with Client(server, seat()) as client:
        first = await client.ask("hello")
        await client.resume(first.id, 5 + past)
        answer = await client.answer()
        assert answer.types == ["done"]
        assert answer.text == "hello"
        await client.quiet()


async def test_a_finished_answer_again_and_again(server: Server, seat: TakeSeat) -> None:
    """Each resume is answered by its own `done`, in the order they were asked."""
    async with Client(server, seat()) as client:
        first = await client.ask("hello there")
        for offset in (0, 6, 11, 0):
            await client.resume(first.id, offset, ref=str(offset))
            answer = await client.answer()
            assert {f["ref"] for f in answer.frames} == {str(offset)}
            assert "".join(c["text"] for c in answer.chunks) == "hello there"[offset:]
        await client.quiet()


async def test_a_finished_answer_resumed_many_times_at_once(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        first = await client.ask("hello there")
        for offset in range(10):
            await client.resume(first.id, offset, ref=str(offset))
        for offset in range(10):
            answer = await client.answer()
            assert {f["ref"] for f in answer.frames} == {str(offset)}
            assert [c["text"] for c in answer.chunks] == ["hello there"[offset:]]
        await client.quiet()


async def test_ready_names_the_running_answer(server: Server, seat: TakeSeat) -> None:
    place = seat("lorem-60-60")
    async with Client(server, place) as client:
        await client.say("go")
        saved = (await client.until("saved"))[-1]
        message_id = await client.written()
        async with Client(server, place) as late:
            assert late.ready["active"] == {"message_id": message_id, "reply_to": saved["message_id"]}
            assert late.ready["last_message_id"] == message_id
        await client.answer()
    async with Client(server, place) as client:
        assert client.ready["active"] is None
        assert client.ready["last_message_id"] == message_id


async def test_a_running_answer_from_where_the_socket_was_lost(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-80-60")
    async with Client(server, place) as client:
        await client.say("go")
        message_id = await client.written(length=30)
        client.drop()
        have = client.following[message_id]
    async with Client(server, place) as client:
        await client.resume(message_id, have.end)
        answer = await client.answer()
        rest = client.following[message_id]
        assert rest.start == have.end
        assert have.text + rest.text == answer.text
        assert len(answer.text.split()) == 80
        await client.quiet()
    assert backstage.message(place, message_id)["text"] == answer.text


async def test_a_running_answer_lost_and_resumed_many_times(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-120-60")
    async with Client(server, place) as client:
        await client.say("go")
        message_id = await client.written()
    text = client.following[message_id].text
    for _ in range(8):
        async with Client(server, place) as client:
            await client.resume(message_id, len(text))
            await client.written(message_id, len(text) + 5)
            client.drop()
            assert client.following[message_id].start == len(text)
            text += client.following[message_id].text
    async with Client(server, place) as client:
        await client.resume(message_id, len(text))
        answer = await client.answer()
        assert text + client.following[message_id].text == answer.text
    assert backstage.message(place, message_id)["text"] == answer.text


async def test_a_running_answer_from_the_start_beside_another_tab(server: Server, seat: TakeSeat) -> None:
    place = seat("lorem-60-60")
    async with Client(server, place) as asker:
        await asker.say("go")
        message_id = await asker.written(length=60)
        async with Client(server, place) as late:
            await late.resume(message_id, 0, ref="late")
            one, two = await asyncio.gather(asker.answer(), late.answer())
            assert late.following[message_id].start == 0
            assert late.following[message_id].text == two.text == one.text
            assert {f["ref"] for f in two.frames} == {"late"}
            await asyncio.gather(asker.quiet(), late.quiet())


async def test_a_running_answer_that_the_socket_follows_already(server: Server, seat: TakeSeat) -> None:
    """Asked again from the start: told from there, with one end in all."""
    async with Client(server, seat("lorem-60-60")) as client:
        await client.say("go")
        message_id = await client.written(length=50)
        await client.resume(message_id, 0)
        await client.resume(message_id, 10)
        got = await client.until("done")
        assert len([f for f in got if f["type"] == "done"]) == 1
        assert len(got[-1]["text"].split()) == 60
        await client.quiet()


async def test_a_running_answer_from_past_its_end(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat("lorem-40-60")) as client:
        await client.say("go")
        message_id = await client.written()
        await client.resume(message_id, 10**6)
        answer = await client.answer()
        assert len(answer.text.split()) == 40
        await client.quiet()


async def test_an_answer_that_has_no_text_yet(server: Server, seat: TakeSeat) -> None:
    place = seat("slow-300")
    async with Client(server, place) as asker, Client(server, place) as other:
        await asker.say("one two")
        saved = (await asker.until("saved"))[-1]
        await other.until("typing")
        await other.resume(saved["reply_id"], 0)
        assert (await other.answer()).text == "one two"
        await other.quiet()
        assert (await asker.answer()).text == "one two"


async def test_a_socket_that_resumes_follows_the_next_answer_too(server: Server, seat: TakeSeat) -> None:
    place = seat("lorem-30-60")
    async with Client(server, place) as asker:
        await asker.say("first")
        message_id = await asker.written()
        async with Client(server, place) as late:
            await late.resume(message_id, 0)
            await asyncio.gather(late.answer(), asker.answer())
            await asker.say("second")
            answer = await late.answer()
            assert answer.types == ["message", "typing", "chunk", "done"]


async def test_connecting_all_through_an_answer_misses_nothing(server: Server, seat: TakeSeat) -> None:
    """Whenever a socket opens: what `ready` names and resumes, or what begins after, is all there is."""
    place = seat("lorem-30-60")

    async def follower(delay: float) -> str:
        await asyncio.sleep(delay)
        async with Client(server, place) as client:
            active, last = client.ready["active"], client.ready["last_message_id"]
            if active or last:
                await client.resume(active["message_id"] if active else last, 0)
            answer = await client.answer()
            await client.quiet()
            return answer.text

    async with Client(server, place) as asker:
        tasks = [asyncio.create_task(follower(0.03 * n)) for n in range(18)]
        await asyncio.sleep(0.1)
        answer = await asker.ask("go")
        assert {await task for task in tasks} == {answer.text}
