"""`regenerate`, `edit`, `feedback`: messages are a tree, nothing is lost, the leaf moves."""

from uuid import uuid4

import pytest

from tests.chat.conftest import TakeSeat
from tests.chat.test_messages import request_with
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.servers import Server
from tests.upstream import Upstream


async def test_regenerate_adds_a_sibling(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    async with Client(server, place) as client, Client(server, place) as tab:
        first = await client.ask("hello")
        await tab.answer()
        await client.send({"type": "regenerate", "messageId": first.id, "ref": "r"})
        second = await client.answer()
        assert [t for t in second.types if t != "saved"] == ["typing", "chunk", "done"]
        assert {f["ref"] for f in second.frames} == {"r"}
        assert second.id != first.id
        typing = second.first("typing")
        assert typing["reply_to"] == first.first("saved")["message_id"]
        assert typing["agent_id"] == place.agent
        # No message was written, so the other tab is told of none.
        assert (await tab.answer()).types == ["typing", "chunk", "done"]
        await client.quiet()
        await tab.quiet()
    question, one, two = backstage.messages(place)
    assert [one["id"], two["id"]] == [first.id, second.id]
    assert one["parent_id"] == two["parent_id"] == question["id"]
    assert (one["text"], one["status"]) == ("hello", "complete")
    assert backstage.leaf(place) == second.id


async def test_regenerate_by_another_employee(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    bob = backstage.hire(place.person.place, "length", name="Bob")
    async with Client(server, place) as client:
        first = await client.ask("hello")
        await client.send({"type": "regenerate", "messageId": first.id, "agentId": bob})
        second = await client.answer()
        assert second.text == "cut short"
        assert second.first("typing")["agent_id"] == bob
        # Once more: by whoever wrote the version one asks to have anew.
        await client.send({"type": "regenerate", "messageId": second.id})
        assert (await client.answer()).text == "cut short"


async def test_regenerate_uses_its_own_branch_only(
    server: Server, seat: TakeSeat, upstream: Upstream
) -> None:
    """Of an earlier answer: what came after it is another branch, and so is the answer itself."""
    mark = str(uuid4())
    async with Client(server, seat()) as client:
        await client.ask("before")
        answer = await client.ask(mark)
        await client.ask("after")
        count = len([r for r in upstream.requests() if r["messages"][-1]["content"] == mark])
        await client.send({"type": "regenerate", "messageId": answer.id})
        again = await client.answer()
        assert len([r for r in upstream.requests() if r["messages"][-1]["content"] == mark]) == count + 1
        said = [m["content"] for m in request_with(upstream, mark)["messages"][1:]]  # type: ignore[index]
        assert said == ["before", "before", mark]
        # The next message goes on from the new version.
        follow_up = str(uuid4())
        await client.ask(follow_up)
        said = [m["content"] for m in request_with(upstream, follow_up)["messages"][1:]]  # type: ignore[index]
        assert said == ["before", "before", mark, again.text, follow_up]


async def test_regenerate_of_a_failed_answer(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat("close-mid")
    echo = backstage.hire(place.person.place, "echo")
    async with Client(server, place) as client:
        failed = await client.ask("hello")
        assert failed.status == "failed"
        await client.send({"type": "regenerate", "messageId": failed.id, "agentId": echo})
        assert (await client.answer()).text == "hello"
    assert [m["status"] for m in backstage.messages(place)] == ["complete", "failed", "complete"]


@pytest.mark.parametrize("kind", ["regenerate", "edit"])
async def test_not_while_an_answer_is_written(
    server: Server, seat: TakeSeat, backstage: Backstage, kind: str
) -> None:
    place = seat("lorem-30-40")
    async with Client(server, place) as client:
        await client.say("go")
        saved = (await client.until("saved"))[-1]
        await client.written()
        target = saved["reply_id"] if kind == "regenerate" else saved["message_id"]
        text = {"text": "other"} if kind == "edit" else {}
        await client.send({"type": kind, "messageId": target, **text})
        got = await client.until("done")
        assert [f["code"] for f in got if f["type"] == "error"] == ["busy"]
        assert got[-1]["status"] == "complete"
        await client.quiet()
    assert len(backstage.messages(place)) == 2


async def test_edit_adds_a_sibling_and_is_answered(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    async with Client(server, place) as client, Client(server, place) as tab:
        first = await client.ask("helo")
        await tab.answer()
        wrong = first.first("saved")["message_id"]
        await client.send({"type": "edit", "messageId": wrong, "text": "  hello ", "ref": "e"})
        second = await client.answer()
        assert second.types == ["typing", "saved", "chunk", "done"]
        assert {f["ref"] for f in second.frames} == {"e"}
        assert second.text == "hello"
        seen = await tab.answer()
        assert seen.types == ["message", "typing", "chunk", "done"]
        assert seen.first("message")["text"] == "hello"
        assert seen.first("message")["message_id"] == second.first("saved")["message_id"] != wrong
    old, old_answer, new, new_answer = backstage.messages(place)
    assert (old["id"], old["text"], old["parent_id"]) == (wrong, "helo", None)
    assert (new["text"], new["parent_id"]) == ("hello", None)
    assert (old_answer["parent_id"], new_answer["parent_id"]) == (old["id"], new["id"])
    assert backstage.leaf(place) == new_answer["id"]


async def test_edit_uses_its_own_branch_only(server: Server, seat: TakeSeat, upstream: Upstream) -> None:
    mark = str(uuid4())
    async with Client(server, seat()) as client:
        await client.ask("before")
        middle = await client.ask("the middle")
        await client.ask("after")
        edited = middle.first("saved")["message_id"]
        await client.send({"type": "edit", "messageId": edited, "text": mark})
        assert (await client.answer()).text == mark
        said = [m["content"] for m in request_with(upstream, mark)["messages"][1:]]  # type: ignore[index]
        assert said == ["before", "before", mark]


async def test_feedback_is_stored_changed_and_taken_back(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    async with Client(server, place) as client:
        answer = await client.ask("hello")
        frame = {"type": "feedback", "messageId": answer.id}
        await client.send({**frame, "value": "up", "comment": "Bravo 👏"})
        echoed = await client.expect("feedback")
        assert (echoed["message_id"], echoed["value"], echoed["comment"]) == (answer.id, "up", "Bravo 👏")
        stored = backstage.message(place, answer.id)
        assert (stored["feedback"], stored["feedback_comment"]) == ("up", "Bravo 👏")
        await client.send({**frame, "value": "down"})
        assert (await client.expect("feedback"))["value"] == "down"
        assert backstage.message(place, answer.id)["feedback"] == "down"
        await client.send({**frame, "value": None})
        assert (await client.expect("feedback"))["value"] is None
        stored = backstage.message(place, answer.id)
        assert (stored["feedback"], stored["feedback_comment"]) == ("", "")


@pytest.mark.parametrize("comment", ["\x00", "a\x00b"])
async def test_feedback_with_what_cannot_be_stored(server: Server, seat: TakeSeat, comment: str) -> None:
    """PostgreSQL keeps no NUL: taken out or refused as the client's mistake, not an error of ours."""
    async with Client(server, seat()) as client:
        answer = await client.ask("hello")
        await client.send({"type": "feedback", "messageId": answer.id, "value": "up", "comment": comment})
        frame = await client.receive()
        assert frame["type"] == "feedback" or frame["code"] == "bad_frame"
        await client.quiet()


async def test_a_ref_that_cannot_be_stored_comes_back(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        await client.send({"type": "ping", "ref": "a\x00\u202e😀"})
        assert (await client.expect("pong"))["ref"] == "a\x00\u202e😀"
