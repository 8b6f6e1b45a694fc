"""When chunks leave, and what they cost: the first and the last at once, fewer where the loop is late,
encoded once for all who stand at the same place. In virtual time."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat import outbox, stream
from chat.outbox import PACE, SLOWEST_PACE, Outbox, Pace
from chat.protocol import Done, encode
from chat.stream import Answer
from tests.live import virtual


def done(answer: Answer) -> Done:
    return Done(text=answer.text, conversation_id=UUID(int=1), message_id=answer.message_id, status="x")


class Seen:
    """A socket: its frames with the time at which each was sent."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, dict[str, Any]]] = []
        self.outbox = Outbox(self._send)

    async def _send(self, text: str) -> None:
        self.frames.append((round(asyncio.get_running_loop().time(), 4), json.loads(text)))

    @property
    def chunks(self) -> list[tuple[float, str]]:
        return [(at, frame["text"]) for at, frame in self.frames if frame["type"] == "chunk"]


@pytest.fixture(autouse=True)
def _fresh_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "pace", Pace())


def test_the_first_token_and_the_last_wait_for_nothing() -> None:
    async def scene() -> None:
        start = asyncio.get_running_loop().time()
        answer, seen = Answer(uuid4()), Seen()
        seen.outbox.follow(answer)
        await asyncio.sleep(1)
        for word in ("one ", "two ", "three"):
            answer.append(word)
            await asyncio.sleep(0.01)
        answer.finish(done(answer))
        await asyncio.sleep(1)
        assert [(round(at - start, 3), text) for at, text in seen.chunks] == [
            (1.0, "one "),
            (1.03, "two three"),
        ]
        assert round(seen.frames[-1][0] - start, 3) == 1.03

    virtual.run(scene())


def test_the_end_does_not_wait_for_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox.pace, "seconds", SLOWEST_PACE)

    async def scene() -> None:
        start = asyncio.get_running_loop().time()
        answer, seen = Answer(uuid4()), Seen()
        seen.outbox.follow(answer)
        await asyncio.sleep(1)
        answer.append("one ")
        await asyncio.sleep(0.01)
        answer.append("two")
        await asyncio.sleep(0.01)
        answer.finish(done(answer))
        await asyncio.sleep(1)
        assert [(round(at - start, 3), text) for at, text in seen.chunks] == [(1.0, "one "), (1.02, "two")]
        assert round(seen.frames[-1][0] - start, 3) == 1.02

    virtual.run(scene())


def test_a_slower_pace_sends_fewer_and_larger_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def chunks() -> list[str]:
        answer, seen = Answer(uuid4()), Seen()
        seen.outbox.follow(answer)
        for _ in range(40):
            answer.append("word ")
            await asyncio.sleep(0.05)
        answer.finish(done(answer))
        await asyncio.sleep(1)
        assert "".join(text for _, text in seen.chunks) == "word " * 40
        return [text for _, text in seen.chunks]

    usual = virtual.run(chunks())
    monkeypatch.setattr(outbox.pace, "seconds", SLOWEST_PACE)
    # In virtual time nothing is late, which would quicken the pace again.
    monkeypatch.setattr(Pace, "note", lambda self, late: None)
    slow = virtual.run(chunks())
    assert len(usual) == 40
    assert len(slow) in (20, 21)


def test_the_pace_follows_how_late_the_loop_is() -> None:
    pace = Pace()
    for _ in range(200):
        pace.note(0.005)
    assert pace.seconds == PACE, "a few milliseconds are no lateness"
    paces = []
    for late in (0.02, 0.03, 0.04, 0.5):
        for _ in range(200):
            pace.note(late)
        paces.append(pace.seconds)
    assert paces == sorted(paces)
    assert PACE < paces[0] < paces[1] < SLOWEST_PACE
    assert paces[-1] == SLOWEST_PACE
    for _ in range(200):
        pace.note(0.0)
    assert pace.seconds == PACE, "and back"


def test_a_late_loop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By sockets that wait for growth as by those whose time has come."""
    noted: list[float] = []
    monkeypatch.setattr(Pace, "note", lambda self, late: noted.append(late))

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual.VirtualLoop)
        answer, seen = Answer(uuid4()), Seen()
        seen.outbox.follow(answer)
        await asyncio.sleep(1)
        answer.append("one ")
        loop._virtual_now += 0.05  # somebody else's work, before it is the socket's turn
        await asyncio.sleep(0.001)
        answer.append("two ")
        await asyncio.sleep(0.001)
        loop._virtual_now += 0.3
        await asyncio.sleep(1)
        await seen.outbox.close()

    virtual.run(scene())
    assert [round(late, 2) for late in noted[:2]] == [0.05, 0.27]


def test_who_stands_at_the_same_place_gets_the_same_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    encodings: list[Any] = []

    def counting(frame: Any) -> str:
        encodings.append(frame)
        return encode(frame)

    monkeypatch.setattr(stream, "encode", counting)

    async def scene() -> list[Seen]:
        answer = Answer(uuid4())
        sockets = [Seen() for _ in range(5)]
        for seen in sockets:
            seen.outbox.follow(answer)
        named, late = Seen(), Seen()
        named.outbox.follow(answer, ref="mine")
        await asyncio.sleep(1)
        answer.append("one ")
        await asyncio.sleep(1)
        late.outbox.follow(answer, 2)
        answer.append("two")
        await asyncio.sleep(1)
        answer.finish(done(answer))
        await asyncio.sleep(1)
        return [*sockets, named, late]

    *sockets, named, late = virtual.run(scene())
    for seen in sockets:
        assert [text for _, text in seen.chunks] == ["one ", "two"]
        assert all("ref" not in frame for _, frame in seen.frames)
    assert [(f["text"], f["ref"]) for _, f in named.frames if f["type"] == "chunk"] == [
        ("one ", "mine"),
        ("two", "mine"),
    ]
    assert [(f["text"], f["offset"]) for _, f in late.frames if f["type"] == "chunk"] == [("e two", 2)]
    # Two for all, two that carry a name, one for who stands elsewhere, and at most one more for whom that
    # has pushed out of the cache.
    assert len(encodings) <= 6
