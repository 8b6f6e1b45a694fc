"""What a turn's memory costs before its model is asked: `python -m benchmarks.window_speed [--json FILE]`.

Reading windows of 2,000 and 9,000 tokens: at hand in the process, from a Redis (valkey) on this machine, and
from the database with a summary before them. Then whole beginnings of turns, as `chat.turns` makes them: the
message stored, the window there, what is remembered recalled (of 1,000 memories); beside the same without
recalling. Warm, one after the other, in this process, which is not disturbed by sockets or models.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.recall_place import workspace
from benchmarks.recall_quality import Question, read
from tests.live.valkey import Valkey

READS = 500
TURNS = 300
# Turns in one conversation before the next: its window grows meanwhile, as windows do.
A_CONVERSATION = 30


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds."""

    what: str
    p50: float
    p99: float


def timing(what: str, seconds: list[float]) -> Timing:
    ordered = sorted(seconds)
    return Timing(what, ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000)


async def repeat(what: str, run: Callable[[], Awaitable[Any]]) -> Timing:
    times = []
    for number in range(-20, READS):
        started = time.perf_counter()
        await run()
        if number >= 0:
            times.append(time.perf_counter() - started)
    return timing(what, times)


class Place:
    """A person with an employee, whom a thousand exchanges are remembered of."""

    def __init__(self) -> None:
        from agents.employees import hire_default
        from benchmarks.recall_speed import fill
        from konstruct.tenancy.models import User, Workspace
        from konstruct.tenancy.workspaces import add_member, reference

        row = Workspace.objects.get(slug="recall")
        self.workspace = reference(row)
        self.user = User.objects.create_user("ana@example.com", display_name="Ana")
        add_member(workspace=row, user=self.user)
        self.agent = hire_default()
        fill(1_000, [(self.user.id, self.agent.id)], random.Random(4))

    def conversation(self) -> uuid.UUID:
        from chat.models import Conversation

        return Conversation.objects.create(user_id=self.user.id, agent=self.agent).id

    def talk(self, tokens: int) -> tuple[uuid.UUID, uuid.UUID]:
        """A conversation with a summary, and so many tokens since; it, and its last message."""
        from chat.models import Message
        from memory import summaries

        conversation_id = self.conversation()
        parent_id = None
        for number in range(tokens // 50 + 2):
            message = Message(
                conversation_id=conversation_id,
                parent_id=parent_id,
                role="assistant" if number % 2 else "user",
                text="four" * 46,
            )
            message.save(force_insert=True)
            parent_id = message.id
            if number == 1:
                summaries.keep(conversation_id=conversation_id, upto_id=message.id, text="Earlier. " * 300)
        return conversation_id, parent_id  # type: ignore[return-value]


async def windows(place: Place, tokens: int, valkey: Valkey) -> list[Timing]:
    from chat.branch import window_up_to
    from konstruct.tenancy.door import in_shared, in_workspace
    from memory.hot import InProcess, InRedis, Key

    conversation_id, leaf_id = await in_workspace(place.workspace, place.talk, tokens=tokens)
    window = await in_workspace(place.workspace, window_up_to, leaf_id=leaf_id)
    assert window.whole and abs(window.tokens - tokens) < 100 and window.summary
    key = Key(place.workspace.schema_name, place.agent.id, place.user.id, conversation_id)
    of = f"{tokens:,} tokens"
    stores = {"in the process": InProcess(), "in Redis": InRedis(valkey.url)}
    timings = []
    for name, store in stores.items():
        await store.replace(key, window)
        assert await store.read(key) == window
        timings.append(await repeat(f"window of {of}, {name}", lambda store=store: store.read(key)))
        await store.close()

    async def from_database() -> None:
        await in_workspace(place.workspace, window_up_to, leaf_id=leaf_id)

    timings.append(await repeat(f"window of {of}, from the database", from_database))
    timings.append(await repeat("a call through the door that does nothing", lambda: in_shared(lambda: None)))
    return timings


async def turns(place: Place, *, recalling: bool) -> list[Timing]:
    """Whole beginnings: from the message's arrival to its being stored, and to all that the prompt needs."""
    from chat import answers, records
    from chat.answers import Settled
    from chat.context import Contexts
    from chat.inbound import InboundMessage, Sender
    from konstruct.tenancy.door import in_workspace

    asked = [question.question for question in read("questions", Question) if question.relevant]
    contexts = Contexts()
    stored, ready, late = [], [], 0
    conversation_id = uuid.uuid4()
    for number in range(-A_CONVERSATION, TURNS):
        if number % A_CONVERSATION == 0:
            conversation_id = await in_workspace(place.workspace, place.conversation)
        inbound = InboundMessage(
            id=uuid.uuid4(),
            tenant_id=place.workspace.id,
            channel="web",
            sender=Sender(place.user.id, "Ana"),
            text=asked[number % len(asked)],
            timestamp=datetime.now(UTC),
            thread_id=conversation_id,
        )
        started = time.perf_counter()
        context = contexts.of(place.workspace, inbound, place.agent.id if recalling else None)
        await context.open()
        ids = {"message_id": uuid.uuid4(), "reply_id": uuid.uuid4()}
        begun = await in_workspace(
            place.workspace, records.begin_message, inbound=inbound, held=context.held, **ids
        )
        saved = time.perf_counter()
        assert begun.employee is not None
        if recalling:
            given = await context.gather(begun, begun.employee)
            late += given.recall_late
        else:
            context._window = context._window_of(begun)
        if number >= 0:
            stored.append(saved - started)
            ready.append(time.perf_counter() - started)
        settled = Settled(text="An answer. " * 10, status="complete")
        await in_workspace(
            place.workspace,
            answers.settle,
            conversation_id=conversation_id,
            reply_id=begun.reply_id,
            settled=settled,
        )
        await context.keep(begun, settled)
    await contexts.close()
    if late:
        print(f"{late} recalls came too late: this machine is busy with something else.", file=sys.stderr)
    how = "recalling" if recalling else "without recalling"
    return [timing(f"message stored, {how}", stored), timing(f"prompt's parts there, {how}", ready)]


async def run(place: Place) -> list[Timing]:
    from konstruct.tenancy.door import close_door

    timings = []
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        for tokens in (2_000, 9_000):
            timings += await windows(place, tokens, valkey)
    for recalling in (False, True, False, True):
        timings += await turns(place, recalling=recalling)
    await asyncio.to_thread(close_door)
    return timings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with workspace():
        timings = asyncio.run(run(Place()))
    print(f"Load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| | p50 ms | p99 ms |\n|---|---|---|")
    for t in timings:
        print(f"| {t.what} | {t.p50:.2f} | {t.p99:.2f} |")
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(timings)))


if __name__ == "__main__":
    main()
