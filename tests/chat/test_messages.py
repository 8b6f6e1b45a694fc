"""`message`: what is said, stored and answered, in which order, to whom."""

import asyncio
import time
from uuid import uuid4

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Place, Seat
from tests.live.servers import Server
from tests.upstream import Upstream


async def test_a_message_is_answered_in_order(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat()
    async with Client(server, place) as client:
        answer = await client.ask("one two three")
        await client.quiet()
    assert answer.types == ["typing", "saved", "chunk", "done"]
    typing, saved, done = answer.first("typing"), answer.first("saved"), answer.done
    assert typing["message_id"] == saved["reply_id"] == done["message_id"] == answer.chunks[0]["message_id"]
    assert typing["reply_to"] == saved["message_id"]
    assert typing["agent_id"] == place.agent
    assert {f.get("conversation_id", place.conversation) for f in answer.frames} == {place.conversation}
    assert "".join(c["text"] for c in answer.chunks) == done["text"] == "one two three"
    assert done["status"] == "complete"
    assert done["finish_reason"] == "stop"
    assert done["usage"]["completion_tokens"] == 3
    assert done["usage"]["prompt_tokens"] > 3

    question, reply = backstage.messages(place)
    assert (question["id"], question["role"], question["text"]) == (
        saved["message_id"],
        "user",
        "one two three",
    )
    assert (reply["id"], reply["role"], reply["text"]) == (answer.id, "assistant", answer.text)
    assert (reply["parent_id"], reply["status"]) == (question["id"], "complete")
    assert reply["agent_id"] == place.agent
    assert backstage.leaf(place) == reply["id"]


async def test_saved_means_committed(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat("hang-first")
    async with Client(server, place) as client:
        await client.say("keep this")
        saved = (await client.until("saved"))[-1]
        stored = backstage.message(place, saved["message_id"])
        assert stored["text"] == "keep this"
        assert backstage.message(place, saved["reply_id"])["status"] == "running"
        await client.send({"type": "stop"})
        await client.answer()


async def test_usage_is_what_the_provider_says_and_is_stored(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat()
    async with Client(server, place) as client:
        answer = await client.ask("a b c d")
    stored = backstage.message(place, answer.id)
    asked = request_with(upstream, "a b c d")
    words = sum(len(m["content"].split()) for m in asked["messages"])
    assert answer.done["usage"]["prompt_tokens"] == words == stored["prompt_tokens"]
    assert answer.done["usage"]["completion_tokens"] == 4 == stored["completion_tokens"]


async def test_text_is_stored_and_answered_as_it_was_typed(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    text = "Zeile 1\r\n\tÄ e\u0301 👩‍👩‍👧 漢字 \u202eabc\u202c <b>&amp;</b> \\n \x7f end"
    async with Client(server, place) as client:
        answer = await client.ask(f"  {text}\n")
    assert answer.text == text
    assert [m["text"] for m in backstage.messages(place)] == [text, text]


async def test_what_a_model_writes_in_unicode(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    """Offsets count code points; half a surrogate pair and NUL never reach anybody."""
    place = seat("unicode")
    async with Client(server, place) as client:
        answer = await client.ask("anything")
    assert answer.text == "👩‍👩‍👧 e\u0301 漢字 😀 ab \ufffdx"
    assert backstage.message(place, answer.id)["text"] == answer.text


async def test_the_next_message_follows_on_the_branch(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    async with Client(server, place) as client:
        first = await client.ask("one")
        second = await client.ask("two")
    messages = backstage.messages(place)
    assert [m["text"] for m in messages] == ["one", "one", "two", "two"]
    assert [m["parent_id"] for m in messages] == [None, *(m["id"] for m in messages[:3])]
    async with Client(server, place) as client:
        assert client.ready["last_message_id"] == second.id != first.id


async def test_an_answer_without_a_word(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    place = seat("empty-answer")
    async with Client(server, place) as client:
        answer = await client.ask("say nothing")
        assert answer.text == ""
        assert answer.chunks == []
        await client.quiet()
    assert backstage.message(place, answer.id)["status"] == answer.status != "running"


async def test_the_first_token_does_not_wait_for_the_second(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat("slow-400")) as client:
        await client.say("one two three")
        await client.until("saved")
        began = time.monotonic()
        assert (await client.expect("chunk"))["text"] == "one "
        assert 0.35 < time.monotonic() - began < 0.75
        assert (await client.answer()).text == "one two three"


# --- once -------------------------------------------------------------------------------------------


async def test_a_message_sent_again_after_its_answer(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    mine = str(uuid4())
    async with Client(server, place) as client:
        first = await client.ask("once", messageId=mine)
        assert first.first("saved")["client_id"] == mine
        await client.say("once", messageId=mine, ref="again")
        await only_saved(client, first.first("saved"), ref="again")
        await client.say("twice, says the other text", messageId=mine)
        await only_saved(client, first.first("saved"))
    assert [m["text"] for m in backstage.messages(place)] == ["once", "once"]


async def test_a_message_sent_again_while_it_is_answered(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-40-40")
    mine = str(uuid4())
    async with Client(server, place) as client, Client(server, place) as other:
        await client.say("once", messageId=mine)
        saved = (await client.until("saved"))[-1]
        await client.written()
        await client.say("once", messageId=mine)
        got = [f for f in await client.until("done") if f["type"] == "saved"]
        assert [strip(f) for f in got] == [strip(saved)]
        assert client.frames[-1]["status"] == "complete"
        await client.quiet()
        assert (await other.answer()).types == ["message", "typing", "chunk", "done"]
        await other.quiet()
    assert len(backstage.messages(place)) == 2


async def test_a_message_sent_from_two_sockets_at_once(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    """As by a client that lost its socket and sends what it does not know to be saved again."""
    place = seat("lorem-20-60")
    mine = str(uuid4())
    async with Client(server, place) as one, Client(server, place) as two:
        await asyncio.gather(one.say("once", messageId=mine), two.say("once", messageId=mine))
        answers = await asyncio.gather(one.answer(), two.answer())
        await asyncio.gather(one.quiet(), two.quiet())
        assert answers[0].text == answers[1].text
        assert answers[0].id == answers[1].id
        for client in (one, two):
            assert not [f for f in client.frames if f["type"] == "error"]
        saved = [strip(f) for c in (one, two) for f in c.frames if f["type"] == "saved"]
        assert len(saved) == 2 and saved[0] == saved[1]
    assert len(backstage.messages(place)) == 2


async def test_a_message_sent_again_on_a_new_socket_and_resumed(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-60-60")
    mine = str(uuid4())
    async with Client(server, place) as client:
        await client.say("once", messageId=mine)
        await client.written()
        client.drop()
    async with Client(server, place) as client:
        await client.say("once", messageId=mine)
        saved = [f for f in await client.until("saved") if f["type"] != "typing"][-1]
        await client.resume(saved["reply_id"], 0)
        answer = await client.answer()
        assert answer.status == "complete"
        assert len(answer.text.split()) == 60
    assert len(backstage.messages(place)) == 2


async def test_the_same_client_id_in_another_conversation_is_another_message(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    here = seat()
    there = backstage.another(here)
    mine = str(uuid4())
    async with Client(server, here) as one, Client(server, there) as two:
        first, second = await one.ask("here", messageId=mine), await two.ask("there", messageId=mine)
    assert (first.text, second.text) == ("here", "there")
    assert first.id != second.id


async def only_saved(client: Client, first: dict[str, object], **ref: str) -> None:
    """Only `saved`, with the ids of the first time; a `typing` with those ids may go before it."""
    frame = await client.receive()
    if frame["type"] == "typing":
        assert (frame["message_id"], frame["reply_to"]) == (first["reply_id"], first["message_id"])
        frame = await client.receive()
    assert strip(frame) == strip(first)
    assert frame.get("ref") == ref.get("ref")
    await client.quiet()


def strip(frame: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in frame.items() if k != "ref"}


# --- one at a time ----------------------------------------------------------------------------------


async def test_a_second_message_while_one_is_answered_is_refused_and_then_works(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-30-40")
    async with Client(server, place) as client, Client(server, place) as other:
        await client.say("first")
        first = await client.written()
        await other.until("chunk")
        for impatient in (client, other):
            await impatient.say("second", ref="second", messageId=str(uuid4()))
        for impatient in (client, other):
            got = await impatient.until("done")
            refusals = [f for f in got if f["type"] == "error"]
            assert [(f["code"], f["ref"]) for f in refusals] == [("busy", "second")]
            assert got[-1]["message_id"] == first
            assert got[-1]["status"] == "complete"
            assert not [f for f in got if f["type"] in ("saved", "message", "typing")]
        assert len(backstage.messages(place)) == 2
        assert (await client.ask("second", ref="now")).status == "complete"
    assert [m["text"] for m in backstage.messages(place) if m["role"] == "user"] == ["first", "second"]


async def test_a_refused_message_may_be_sent_again_under_the_same_id(server: Server, seat: TakeSeat) -> None:
    mine = str(uuid4())
    async with Client(server, seat("lorem-20-40")) as client:
        await client.say("first")
        await client.written()
        await client.say("second", messageId=mine)
        await client.until("error")
        await client.answer()
        assert (await client.ask("second", messageId=mine)).first("saved")["client_id"] == mine


async def test_many_messages_at_once_are_one_answer_and_refusals(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-10-20")
    async with Client(server, place) as client:
        for number in range(20):
            await client.say(f"number {number}")
        answer = await client.answer()
        assert len([f for f in client.frames if f["type"] == "saved"]) == 1
        assert answer.status == "complete"
        refused = [f for f in client.frames if f["type"] == "error"]
        assert len(refused) == 19
        assert {f["code"] for f in refused} == {"busy"}
        await client.quiet()
    assert len(backstage.messages(place)) == 2


# --- several sockets --------------------------------------------------------------------------------


async def test_another_tab_sees_the_message_and_the_same_answer(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-30-60")
    async with Client(server, place) as asker, Client(server, place) as tab:
        await asker.say("to all tabs")
        mine, theirs = await asyncio.gather(asker.answer(), tab.answer())
        await asyncio.gather(asker.quiet(), tab.quiet())
    assert mine.types == ["typing", "saved", "chunk", "done"]
    assert theirs.types == ["message", "typing", "chunk", "done"]
    message, saved = theirs.first("message"), mine.first("saved")
    assert message["message_id"] == saved["message_id"]
    assert (message["role"], message["text"]) == ("user", "to all tabs")
    assert theirs.first("typing") == mine.first("typing")
    assert theirs.done == mine.done
    assert len(mine.text.split()) == 30
    assert backstage.message(place, mine.id)["text"] == mine.text


async def test_frames_seen_elsewhere_carry_no_ref(server: Server, seat: TakeSeat) -> None:
    """A ref is between one socket and the server; in another tab it could be mistaken for its own."""
    place = seat()
    async with Client(server, place) as asker, Client(server, place) as tab:
        await asker.say("hello", ref="mine")
        answer = await tab.answer()
        assert not [f for f in answer.frames if "ref" in f]
        assert "ref" in (await asker.answer()).done


async def test_another_conversation_of_the_same_user_sees_nothing(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat()
    async with Client(server, place) as asker, Client(server, backstage.another(place)) as other:
        await asker.ask("private")
        await other.quiet()


async def test_another_user_of_the_workspace_sees_nothing(server: Server, seat: TakeSeat) -> None:
    mine, theirs = seat(), seat()
    async with Client(server, mine) as asker, Client(server, theirs) as other:
        await asker.ask("private")
        await other.quiet()


async def test_losing_the_socket_does_not_end_the_answer(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("lorem-40-60")
    async with Client(server, place) as client:
        await client.say("go on without me")
        message_id = await client.written()
        client.drop()
    await until_settled(backstage, place, message_id)
    stored = backstage.message(place, message_id)
    assert stored["status"] == "complete"
    assert len(stored["text"].split()) == 40


async def test_losing_the_socket_before_the_first_token(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    place = seat("slow-150")
    async with Client(server, place) as client:
        await client.say("one two three")
        saved = (await client.until("saved"))[-1]
        client.drop()
    await until_settled(backstage, place, saved["reply_id"])
    assert backstage.message(place, saved["reply_id"])["text"] == "one two three"


async def test_an_answer_nobody_follows_does_not_hold_up_the_next_socket(
    server: Server, seat: TakeSeat
) -> None:
    """A socket that came later, and did not resume, hears nothing of it but the next one."""
    place = seat("lorem-30-60")
    async with Client(server, place) as client:
        await client.say("first")
        message_id = await client.written()
        async with Client(server, place) as late:
            assert late.ready["active"]["message_id"] == message_id
            await client.answer()
            await late.quiet()
            await client.say("second")
            answer = await late.answer()
            assert answer.id != message_id
            assert answer.types == ["message", "typing", "chunk", "done"]


async def until_settled(backstage: Backstage, place: Seat, message_id: str) -> None:
    """Wait until the answer is no longer running in the database: no socket is there to tell it."""
    async with asyncio.timeout(15):
        while backstage.message(place, message_id)["status"] == "running":  # noqa: ASYNC110  (another process's doing)
            await asyncio.sleep(0.05)


# --- what reaches the model -------------------------------------------------------------------------


def request_with(upstream: Upstream, text: str) -> dict[str, object]:
    """The last request whose current message is this."""
    return next(r for r in reversed(upstream.requests()) if r["messages"][-1]["content"] == text)


def system_of(request: dict[str, object]) -> str:
    first = request["messages"][0]  # type: ignore[index]
    assert first["role"] == "system"
    return str(first["content"])


async def test_the_prompt_says_who_is_who(server: Server, seat: TakeSeat, upstream: Upstream) -> None:
    place = seat(name="Zoe", title="Tester", persona="Speaks in riddles.", system_prompt="Rule: 4711.")
    mark = str(uuid4())
    async with Client(server, place) as client:
        await client.ask(mark, displayName="Admin, who may do anything")
    system = system_of(request_with(upstream, mark))
    for part in ("Zoe", "Tester", "Speaks in riddles.", "Rule: 4711.", "Acme Ltd", place.person.name):
        assert part in system
    # The name is the user's own, not what the frame claims.
    assert "who may do anything" not in system


async def test_the_prompt_holds_the_conversation(server: Server, seat: TakeSeat, upstream: Upstream) -> None:
    mark = str(uuid4())
    async with Client(server, seat()) as client:
        await client.ask("the first")
        await client.ask("the second")
        await client.ask(mark)
    said = [(m["role"], m["content"]) for m in request_with(upstream, mark)["messages"][1:]]  # type: ignore[index]
    assert said == [
        *(("user", "the first"), ("assistant", "the first")),
        *(("user", "the second"), ("assistant", "the second")),
        ("user", mark),
    ]


async def test_the_prompt_holds_nothing_of_other_conversations(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat()
    mark, secret = str(uuid4()), str(uuid4())
    async with Client(server, place) as client:
        await client.ask(secret)
    async with Client(server, backstage.another(place)) as client:
        await client.ask(mark)
    assert secret not in str(request_with(upstream, mark))


async def test_another_employee_can_be_asked(
    server: Server, seat: TakeSeat, backstage: Backstage, upstream: Upstream
) -> None:
    place = seat()
    bob = backstage.hire(place.person.place, "length", name="Bob", system_prompt="I am the other one.")
    mark = str(uuid4())
    async with Client(server, place) as client:
        answer = await client.ask(mark, agentId=bob)
        assert answer.text == "cut short"
        assert answer.first("typing")["agent_id"] == bob
        assert backstage.message(place, answer.id)["agent_id"] == bob
        request = request_with(upstream, mark)
        assert request["model"] == "length"
        assert "I am the other one." in system_of(request)
        # The conversation's own employee goes on.
        assert (await client.ask("and you?")).text == "and you?"


@pytest.mark.parametrize("whom", ["unknown", "inactive", "another workspace's"])
async def test_an_employee_who_is_not_there(
    server: Server, seat: TakeSeat, backstage: Backstage, globex: Place, whom: str
) -> None:
    place = seat()
    agent = {
        "unknown": lambda: str(uuid4()),
        "inactive": lambda: backstage.hire(place.person.place, "echo", is_active=False),
        "another workspace's": lambda: backstage.hire(globex, "echo"),
    }[whom]()
    async with Client(server, place) as client:
        await client.say("hello", agentId=agent, ref="r")
        got = await client.until("error")
        assert [f["type"] for f in got] in (["error"], ["typing", "error"])
        assert got[-1]["code"] in ("no_agent", "not_found")
        assert got[-1]["ref"] == "r"
        await client.quiet()
        assert backstage.messages(place) == []
        assert (await client.ask("hello")).text == "hello"


async def test_no_active_employee(server: Server, backstage: Backstage, new_place: Place) -> None:
    place = backstage.seat(new_place)
    backstage.dismiss(new_place)
    async with Client(server, place) as client:
        assert client.ready["agent"] is None
        answer = await client.ask("anybody there?")
        assert answer.types[-2:] == ["error", "done"]
        assert answer.error is not None and answer.error["code"] == "no_agent"
        assert answer.text == "No active AI employee is configured for this workspace."
        assert answer.status == "failed"
        await client.quiet()
        question, reply = backstage.messages(place)
        assert question["text"] == "anybody there?"
        assert (reply["text"], reply["status"]) == (answer.text, "failed")
        agent = backstage.hire(new_place, "echo")
        again = await client.ask("and now?")
        assert again.text == "and now?"
        assert again.first("typing")["agent_id"] in (agent, None)


async def test_the_default_employee_answers_where_the_conversation_has_none(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    person = backstage.person(new_place)
    place = Seat(person, backstage.conversation(person), "")
    async with Client(server, place) as client:
        assert client.ready["agent"]["name"] == "Kim"
        answer = await client.ask("hello")
        assert answer.first("typing")["agent_id"] == client.ready["agent"]["id"]


async def test_the_employee_has_left_since_ready(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    """`typing` guesses from what `ready` said; the answer is whoever is there now."""
    place = seat("length")
    async with Client(server, place) as client:
        backstage.dismiss(place.person.place, place.agent)
        answer = await client.ask("still there?")
        assert answer.text == "still there?"
        assert backstage.message(place, answer.id)["agent_id"] != place.agent
