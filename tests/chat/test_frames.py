"""Every kind of wrong frame: answered, harmless, and the socket goes on (PROTOCOL.md, Client frames)."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.servers import Server

SOME_ID = str(uuid4())

WRONG: dict[str, Any] = {
    "unknown type": {"type": "chunk"},
    "type of the wrong kind": {"type": 7},
    "no type": {"text": "hello"},
    "unknown field": {"type": "message", "text": "hello", "mood": "good"},
    "field in another case": {"type": "message", "text": "hello", "message_id": SOME_ID},
    "unknown field of ping": {"type": "ping", "at": 1},
    "no text": {"type": "message"},
    "text is null": {"type": "message", "text": None},
    "text is a number": {"type": "message", "text": 5},
    "text is an object": {"type": "message", "text": {"type": "message"}},
    "text is empty": {"type": "message", "text": ""},
    "text is blank": {"type": "message", "text": " \t\r\n\u2003"},
    "text is NUL": {"type": "message", "text": "\x00"},
    "messageId is no uuid": {"type": "message", "text": "hello", "messageId": "1"},
    "agentId is no uuid": {"type": "message", "text": "hello", "agentId": "' OR 1=1"},
    "displayName is a list": {"type": "message", "text": "hello", "displayName": ["x"]},
    "another conversationId": {"type": "message", "text": "hello", "conversationId": SOME_ID},
    "ref too long": {"type": "ping", "ref": "x" * 65},
    "ref is a number": {"type": "ping", "ref": 1},
    "resume without offset": {"type": "resume", "messageId": SOME_ID},
    "resume without messageId": {"type": "resume", "offset": 0},
    "resume with a fraction": {"type": "resume", "messageId": SOME_ID, "offset": 0.5},
    "stop of the wrong kind": {"type": "stop", "messageId": 7},
    "regenerate without messageId": {"type": "regenerate"},
    "edit without text": {"type": "edit", "messageId": SOME_ID},
    "edit without messageId": {"type": "edit", "text": "hello"},
    "edit with empty text": {"type": "edit", "messageId": SOME_ID, "text": " "},
    "feedback without value": {"type": "feedback", "messageId": SOME_ID},
    "feedback of another value": {"type": "feedback", "messageId": SOME_ID, "value": "sideways"},
    "feedback of the wrong kind": {"type": "feedback", "messageId": SOME_ID, "value": True},
    "ack with a negative offset": {"type": "ack", "messageId": SOME_ID, "offset": -1},
    "not JSON": "hello",
    "cut JSON": '{"type":"ping"',
    "two values": '{"type":"ping"}{"type":"ping"}',
    "NaN": '{"type":"resume","messageId":"' + SOME_ID + '","offset":NaN}',
    "empty": "",
    "array": '[{"type":"ping"}]',
    "string": '"ping"',
    "null": "null",
    "deeply nested array": "[" * 30_000,
    "deeply nested object": '{"type":' * 5_000,
    "deeply nested field": '{"type":"message","text":"x","mood":' + "[" * 20_000 + "]" * 20_000 + "}",
    "a lone surrogate": '{"type":"message","text":"\\ud83d"}',
    "a lone surrogate among others": '{"type":"message","text":"a\\udc00b"}',
    "a lone surrogate as ref": '{"type":"ping","ref":"\\ud83d"}',
    "binary": b"\x00\xff",
    "binary JSON": b'{"type":"ping"}',
    "huge integer": '{"type":"resume","messageId":"' + SOME_ID + '","offset":' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("frame", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_frame_is_an_error_and_no_more(server: Server, seat: TakeSeat, frame: Any) -> None:
    async with Client(server, seat()) as client:
        await client.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        await client.error(code="bad_frame")
        await client.quiet()


@pytest.mark.parametrize("offset", [-1, -(10**6), 2**63, 2**64, 10**30])
async def test_an_impossible_offset(server: Server, seat: TakeSeat, offset: int) -> None:
    async with Client(server, seat()) as client:
        answer = await client.ask("hello")
        await client.send(json.dumps({"type": "resume", "messageId": answer.id, "offset": offset}))
        if offset < 0:
            await client.error(code="bad_frame")
        else:
            # More than anybody has: either is an answer, silence is not.
            client._of(answer.id).ask(offset)
            frame = await client.receive()
            assert frame["type"] == "done" or frame["code"] == "bad_frame"
        await client.quiet()


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "message"},
        {"type": "message", "text": "hello", "mood": 1},
        {"type": "message", "text": " "},
        {"type": "message", "text": "x" * 32_001},
        {"type": "message", "text": "hello", "conversationId": SOME_ID},
        {"type": "nonsense"},
        {"type": "resume", "messageId": SOME_ID, "offset": 0},
        {"type": "regenerate", "messageId": SOME_ID},
        {"type": "edit", "messageId": SOME_ID, "text": "hello"},
        {"type": "feedback", "messageId": SOME_ID, "value": "up"},
        {"type": "stop"},
        {"type": "stop", "messageId": SOME_ID},
    ],
)
async def test_an_error_carries_the_ref_of_its_frame(
    server: Server, seat: TakeSeat, frame: dict[str, Any]
) -> None:
    async with Client(server, seat()) as client:
        await client.send({**frame, "ref": "mine"})
        await client.until("error")
        assert client.frames[-1]["ref"] == "mine"
        await client.quiet()


async def test_the_answers_to_a_frame_carry_its_ref(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        answer = await client.ask("hello there", ref="q" * 64)
        assert {f["ref"] for f in answer.frames} == {"q" * 64}
        await client.send({"type": "feedback", "messageId": answer.id, "value": "up", "ref": "f"})
        assert (await client.expect("feedback"))["ref"] == "f"
        await client.resume(answer.id, 3, ref="r")
        assert {f["ref"] for f in (await client.answer()).frames} == {"r"}


async def test_without_ref_there_is_none(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        answer = await client.ask("hello")
        assert not any("ref" in f for f in answer.frames)


async def test_ping(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}


async def test_an_empty_frame_object_of_ack_gets_no_answer(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        await client.send({"type": "ack", "messageId": SOME_ID, "offset": 0})
        await client.quiet()


async def test_the_own_conversation_id_may_be_named(server: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(server, place) as client:
        answer = await client.ask("hello", conversationId=place.conversation)
        assert answer.text == "hello"


# --- how long ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["x", "é"])
async def test_the_longest_message(server: Server, seat: TakeSeat, backstage: Backstage, letter: str) -> None:
    """Blanks around it do not count, nor do they stay."""
    place = seat("length")
    text = letter * 32_000
    async with Client(server, place) as client:
        await client.send(json.dumps({"type": "message", "text": f" \n{text}\t "}, ensure_ascii=False))
        await client.answer()
    assert backstage.messages(place)[0]["text"] == text


async def test_characters_are_code_points(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    """16,000 emoji are 32,000 UTF-16 units and 64,000 bytes, and no more than 16,000 characters."""
    place = seat("length")
    text = "😀" * 16_000
    async with Client(server, place) as client:
        await client.send(json.dumps({"type": "message", "text": text}, ensure_ascii=False))
        assert (await client.answer()).status == "complete"
    assert backstage.messages(place)[0]["text"] == text


@pytest.mark.parametrize("kind", ["message", "edit"])
async def test_a_message_too_long(server: Server, seat: TakeSeat, backstage: Backstage, kind: str) -> None:
    place = seat()
    async with Client(server, place) as client:
        extra = {"messageId": SOME_ID} if kind == "edit" else {}
        await client.send({"type": kind, "text": "x" * 32_001, **extra})
        await client.error(code="too_long")
        await client.quiet()
    assert backstage.messages(place) == []


def frame_of(size: int, letter: str = "x") -> str:
    """A frame of so many bytes."""
    frame = json.dumps({"type": "ping", "ref": ""})
    padding = size - len(frame.encode())
    return frame + " " * (padding % len(letter.encode())) + letter * (padding // len(letter.encode()))


async def test_a_frame_of_64_kib_is_read(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat()) as client:
        ping = '{"type":"ping"}'
        await client.send(ping + " " * (64 * 1024 - len(ping)))
        await client.expect("pong")


@pytest.mark.parametrize("size", [64 * 1024 + 1, 200_000, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024])
@pytest.mark.parametrize("letter", ["x", "é", "😀", None])
async def test_a_frame_too_big(server: Server, seat: TakeSeat, size: int, letter: str | None) -> None:
    async with Client(server, seat()) as client:
        await client.send(frame_of(size, letter) if letter else b"\x00" * size)
        assert await client.closed() == 1009


async def test_a_first_frame_too_big(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat(), auth=None) as client:
        await client.send("x" * (64 * 1024 + 1))
        assert await client.closed() in (1009, 4001)


async def test_too_many_wrong_frames_end_the_socket(server: Server, seat: TakeSeat) -> None:
    place = seat()
    async with Client(server, place) as client, Client(server, place) as other:
        for _ in range(200):
            await client.send("nonsense")
        assert await client.closed() == 4029
        codes = [f["code"] for f in client.frames if f["type"] == "error"]
        assert codes[0] == "bad_frame"
        assert codes[-1] == "rate_limited"
        # They are the socket's, not the user's.
        await other.quiet()


# --- what belongs to others -------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["mine", "another user's", "another workspace's", "nobody's"])
@pytest.mark.parametrize("kind", ["resume", "regenerate", "edit", "feedback", "stop"])
async def test_a_message_of_another_conversation(
    server: Server, seat: TakeSeat, backstage: Backstage, globex: Any, kind: str, whose: str
) -> None:
    """The ids of other conversations' messages mean nothing here, whoever they belong to."""
    here = seat()
    there = {
        "mine": lambda: seat(person=here.person),
        "another user's": seat,
        "another workspace's": lambda: backstage.seat(globex),
        "nobody's": lambda: None,
    }[whose]()
    secret = "the-secret-of-another-conversation"
    message_id = SOME_ID
    if there is not None:
        async with Client(server, there) as client:
            answer = await client.ask(secret)
            message_id = answer.first("saved")["message_id"] if kind == "edit" else answer.id
    before = backstage.messages(there) if there else []
    fields: dict[str, Any] = {
        "resume": {"offset": 0},
        "edit": {"text": "changed"},
        "feedback": {"value": "down"},
    }.get(kind, {})
    async with Client(server, here) as client:
        await client.send(json.dumps({"type": kind, "messageId": message_id, **fields}))
        await client.until("error")
        assert client.frames[-1]["code"] == "not_found"
        await client.quiet()
        assert secret not in json.dumps(client.frames)
        assert (await client.ask("still here")).text == "still here"
    assert (backstage.messages(there) if there else []) == before
    assert len(backstage.messages(here)) == 2


async def test_stop_does_not_reach_another_conversations_running_answer(
    server: Server, seat: TakeSeat
) -> None:
    mine = seat("lorem-60-60")
    async with Client(server, mine) as running, Client(server, seat(person=mine.person)) as client:
        await running.say("go on")
        message_id = await running.written()
        for frame in ({"type": "stop", "messageId": message_id}, {"type": "stop"}):
            await client.send(frame)
            await client.error(code="not_found")
        assert (await running.answer()).status == "complete"


async def test_the_wrong_role_is_not_found(server: Server, seat: TakeSeat) -> None:
    """An answer cannot be edited, a question not be written anew, nor resumed, nor praised."""
    async with Client(server, seat()) as client:
        answer = await client.ask("hello")
        question = answer.first("saved")["message_id"]
        wrong: list[dict[str, Any]] = [
            {"type": "edit", "messageId": answer.id, "text": "other"},
            {"type": "regenerate", "messageId": question},
            {"type": "feedback", "messageId": question, "value": "up"},
        ]
        for frame in wrong:
            await client.send(frame)
            await client.until("error")
            assert client.frames[-1]["code"] == "not_found"
        await client.send(json.dumps({"type": "resume", "messageId": question, "offset": 0}))
        await client.error(code="not_found")
        await client.quiet()
