"""One buffer, many cursors: whatever the schedule, every follower gets exactly the text (decision 2).

No server and no database: chat.stream and chat.outbox under random schedules, in virtual time.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.outbox import PACE, Outbox
from chat.protocol import Done, Error, Pong
from chat.stream import Answer
from tests.live import virtual

CONVERSATION = UUID(int=1)
# Also pieces that are no whole characters: combining marks, joiners, variation selectors.
PIECES = st.text(st.sampled_from("ab \n漢é\u0301😀\u200d\ufe0f👩\x7f"), max_size=12)
PAUSES = st.sampled_from([0.0, 0.0, 0.001, 0.01, PACE, 0.05, 0.4])
TIMES = st.floats(0, 1.5, allow_nan=False)
OFFSETS = st.one_of(st.just(0), st.integers(0, 60), st.just(10_000))


@dataclass
class Writing:
    """What a turn does: pauses and pieces, then the end."""

    pieces: list[tuple[float, str]]
    fails: bool

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.pieces)


@dataclass
class Follower:
    """A socket: how long each send takes, and when it follows which answer from where, or pings."""

    delays: list[float]
    follows: list[tuple[float, int, int]]
    pings: list[float]
    leaves: float | None


@dataclass
class Sent:
    """A frame as it left, and when its sending began."""

    frame: dict[str, Any]
    at: float


writings = st.builds(Writing, st.lists(st.tuples(PAUSES, PIECES), max_size=20), st.booleans())
followers = st.builds(
    Follower,
    st.lists(st.sampled_from([0.0, 0.0, 0.005, 0.07, 0.5]), min_size=1, max_size=4),
    st.lists(st.tuples(TIMES, st.integers(0, 1), OFFSETS), min_size=1, max_size=5),
    st.lists(TIMES, max_size=3),
    st.one_of(st.none(), TIMES),
)


class Peer:
    """Follows through an Outbox, and notes at each moment what it must be sent from then on."""

    def __init__(self, plan: Follower, answers: list[Answer]) -> None:
        self.plan = plan
        self.answers = answers
        self.sent: list[Sent | tuple[UUID, int]] = []
        self.outbox = Outbox(self._send)
        self.pings = 0
        self._number = 0
        self.sending = 0

    async def _send(self, text: str) -> None:
        assert self.sending == 0, "two sends at once"
        self.sending += 1
        self.sent.append(Sent(json.loads(text), asyncio.get_running_loop().time()))
        delay = self.plan.delays[self._number % len(self.plan.delays)]
        self._number += 1
        try:
            await asyncio.sleep(delay)
        finally:
            self.sending -= 1

    async def act(self) -> None:
        events = [(t, "follow", a, o) for t, a, o in self.plan.follows]
        events += [(t, "ping", 0, 0) for t in self.plan.pings]
        if self.plan.leaves is not None:
            events.append((self.plan.leaves, "leave", 0, 0))
        for time, what, which, offset in sorted(events):
            await asyncio.sleep(max(0.0, time - asyncio.get_running_loop().time()))
            if what == "leave":
                await self.outbox.close()
                return
            if what == "ping":
                self.pings += 1
                self.outbox.push(Pong())
            else:
                answer = self.answers[which % len(self.answers)]
                self.sent.append((answer.message_id, min(offset, answer.length)))
                self.outbox.follow(answer, offset)

    def check(self, answer: Answer, text: str, fails: bool) -> None:
        """Exactly the text from each point it was asked for, no gap, one end of each following."""
        position: int | None = None
        ended = True
        failed = False
        anew: int | None = None
        for entry in self.sent:
            if isinstance(entry, tuple):
                if entry[0] == answer.message_id and failed:
                    anew = entry[1]  # between the two frames of an end, which come whole
                elif entry[0] == answer.message_id:
                    position, ended = entry[1], False
                continue
            frame = entry.frame
            if frame.get("message_id") != str(answer.message_id):
                continue
            assert position is not None, "sent unasked"
            assert not ended, f"sent after the end: {frame}"
            if frame["type"] == "chunk":
                assert frame["text"]
                assert frame["offset"] == position
                assert text[position:].startswith(frame["text"])
                position += len(frame["text"])
            elif frame["type"] == "error":
                failed = True
            else:
                assert frame["type"] == "done"
                assert position == len(text)
                assert failed == fails
                ended, failed = True, False
                if anew is not None:
                    position, ended, anew = anew, False, None
        if self.plan.leaves is None:
            assert ended, "left waiting"

    def check_pace(self, answer: Answer) -> None:
        """After the first chunk, one each PACE seconds at most; the last may go at once."""
        times: list[float] = []
        for entry in [*self.sent, (answer.message_id, 0)]:
            if isinstance(entry, tuple):
                for before, after in pairwise(times[:-1]):
                    assert after - before >= PACE - 1e-9
                times = []
            elif entry.frame["type"] == "chunk":
                times.append(entry.at)


async def perform(plans: list[Writing], peers_plans: list[Follower]) -> None:
    answers = [Answer(uuid4()) for _ in plans]
    peers = [Peer(plan, answers) for plan in peers_plans]

    async def write(answer: Answer, plan: Writing) -> None:
        for pause, piece in plan.pieces:
            await asyncio.sleep(pause)
            answer.append(piece)
        done = Done(text=plan.text, conversation_id=CONVERSATION, message_id=answer.message_id, status="x")
        error = Error(message="m", code="internal", message_id=answer.message_id)
        answer.finish(*([error] if plan.fails else []), done)
        answer.finish(done)  # only the first end counts

    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        for answer, plan in zip(answers, plans, strict=True):
            group.create_task(write(answer, plan))
        for peer in peers:
            group.create_task(peer.act())
    await asyncio.sleep(60)  # virtual: longer than anything still to be sent takes

    assert len(asyncio.all_tasks()) == 1, "a sender is left over"
    for answer, plan in zip(answers, plans, strict=True):
        assert answer.followers == 0
        assert answer.text == plan.text
        for peer in peers:
            peer.check(answer, plan.text, plan.fails)
    for peer in peers:
        if peer.plan.leaves is None:
            frames = [e.frame for e in peer.sent if isinstance(e, Sent)]
            assert len([f for f in frames if f["type"] == "pong"]) == peer.pings
        if len(answers) == 1:
            peer.check_pace(answers[0])


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """A hundred failing schedules would log a hundred times."""
    logger = logging.getLogger("chat.outbox")
    before, logger.level = logger.level, logging.CRITICAL
    yield
    logger.setLevel(before)


@settings(max_examples=250, deadline=None)
@given(writings, st.lists(followers, min_size=1, max_size=3))
def test_one_answer_and_any_followers(writing: Writing, plans: list[Follower]) -> None:
    virtual.run(perform([writing], plans))


@settings(max_examples=250, deadline=None)
@given(st.lists(writings, min_size=2, max_size=2), st.lists(followers, min_size=1, max_size=3))
def test_two_answers_and_any_followers(plans: list[Writing], peers: list[Follower]) -> None:
    virtual.run(perform(plans, peers))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(PIECES, st.booleans())))
def test_reading_is_slicing(pieces: list[tuple[str, bool]]) -> None:
    """At every offset, while it grows, whether the pieces were joined up before or not."""
    answer, whole = Answer(uuid4()), ""
    for piece, join in pieces:
        answer.append(piece)
        whole += piece
        if join:
            assert answer.text == whole
        assert answer.length == len(whole)
        for offset in range(len(whole) + 2):
            assert answer.read(offset) == whole[offset:]


@pytest.mark.parametrize("fails", [False, True])
def test_following_anew_while_the_last_chunk_is_sent(fails: bool) -> None:
    """A client resumes just when the answer ends: both followings come to their end."""
    writing = Writing([(0.0, "text")], fails)
    virtual.run(perform([writing], [Follower([0.5], [(0.0, 0, 0), (0.2, 0, 0)], [], None)]))


def test_following_one_anew_while_a_chunk_of_another_is_sent() -> None:
    """The place that was left for a new one is not read from any more."""
    plans = [Writing([(0.0, "first answer")], False), Writing([(0.0, "second answer")], False)]
    follows = [(0.1, 0, 0), (0.2, 1, 0), (0.7, 1, 7)]
    virtual.run(perform(plans, [Follower([0.5], follows, [0.0], None)]))


def test_a_stalled_socket_holds_up_nobody() -> None:
    """One send that never ends: the others get every token, the stalled one holds no text of its own."""

    async def scene() -> None:
        answer = Answer(uuid4())
        stalled = Peer(Follower([10_000.0], [(0.0, 0, 0)], [], None), [answer])
        healthy = Peer(Follower([0.0], [(0.0, 0, 0)], [], None), [answer])
        await stalled.act()
        await healthy.act()
        for _ in range(1000):
            answer.append("word ")
            await asyncio.sleep(0.02)
        done = Done(
            text="word " * 1000, conversation_id=CONVERSATION, message_id=answer.message_id, status="x"
        )
        answer.finish(done)
        await asyncio.sleep(1)
        healthy.check(answer, "word " * 1000, False)
        assert len([e for e in stalled.sent if isinstance(e, Sent)]) == 1
        await stalled.outbox.close()
        assert answer.followers == 0

    virtual.run(scene())


def test_closing_in_the_middle_of_a_send_leaves_nothing() -> None:
    async def scene() -> None:
        answer = Answer(uuid4())
        peer = Peer(Follower([5.0], [(0.0, 0, 0)], [0.0], None), [answer])
        await peer.act()
        answer.append("text")
        await asyncio.sleep(1)
        await peer.outbox.close()
        peer.outbox.push(Pong())
        peer.outbox.follow(answer)
        assert answer.followers == 0
        assert len(asyncio.all_tasks()) == 1
        count = len(peer.sent)
        answer.append("more")
        await asyncio.sleep(20)
        assert len(peer.sent) == count

    virtual.run(scene())
