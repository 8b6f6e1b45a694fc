"""Moments that no schedule meets for sure: what begins, or is withdrawn, while a socket is being checked."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat import following, lookups
from chat.answers import Settled
from chat.following import Following
from chat.hub import Hub, Room
from chat.lookups import Exchange
from chat.outbox import Outbox
from chat.presence import Presence
from chat.protocol import NewMessage, Typing
from chat.stream import Answer
from chat.turns import Turns
from konstruct.tenancy.access import Withdrawn
from konstruct.tenancy.door import WorkspaceRef

WORKSPACE = WorkspaceRef(uuid4(), "t_one", "One", "one")


def test_who_leaves_first_takes_nobody_elses_ears_along() -> None:
    """Lists that heard the same are equal: the one that goes must be found by identity."""
    presence, hub = Presence(connections_per_user=0), Hub()
    first, second = presence.watching(), presence.watching()
    heard = first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    presence.withdraw(Withdrawn(user="somebody"))
    assert len(heard) == 1
    first.__exit__(None, None, None)

    room = Room("t_one", uuid4())
    one, two = hub.watching(), hub.watching()
    begun = one.__enter__()
    two.__enter__()
    two.__exit__(None, None, None)
    hub.begins(room, uuid4(), is_new=True)
    assert [b.room for b in begun] == [room]
    one.__exit__(None, None, None)


class Scene:
    """A process that follows an answer of another one, whose database answers when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub = Hub()
        self.following = Following(self.hub, Turns(), None)
        self.room = Room("t_one", uuid4())
        self.user_id, self.reply_id = uuid4(), uuid4()
        self.stored = Settled(text="so far", status="running")
        # Holds back what `join_in` reads.
        self.gate = asyncio.Event()
        monkeypatch.setattr(following, "in_workspace", self._database)
        monkeypatch.setattr("chat.mirror.in_workspace", self._database)
        monkeypatch.setattr("chat.mirror.LOOK_SECONDS", 0.01)

    async def _database(self, _: WorkspaceRef, function: Any, **arguments: Any) -> Any:
        if function is lookups.find_answer:
            return self.stored
        await self.gate.wait()
        said_id = uuid4()
        return Exchange(
            said=NewMessage(message_id=said_id, role="user", text="go", created_at=datetime.now(UTC)),
            typing=Typing(
                conversation_id=self.room.conversation_id,
                message_id=self.reply_id,
                reply_to=said_id,
                agent_id=None,
            ),
            answer=self.stored,
        )

    def tab(self) -> tuple[Outbox, list[dict[str, Any]]]:
        sent: list[dict[str, Any]] = []

        async def send(text: str) -> None:
            sent.append(json.loads(text))

        outbox = Outbox(send)
        self.hub.join(self.room, outbox, workspace=WORKSPACE, user_id=self.user_id)
        return outbox, sent

    async def resume(self, outbox: Outbox, offset: int) -> None:
        await self.following.resume(
            workspace=WORKSPACE,
            room=self.room,
            user_id=self.user_id,
            message_id=self.reply_id,
            offset=offset,
            outbox=outbox,
            ref=None,
        )


async def test_one_tab_resumes_while_the_other_is_about_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    (_, old), (newcomer, new) = scene.tab(), scene.tab()
    joining = asyncio.create_task(
        scene.following.join_in(room=scene.room, reply_id=scene.reply_id, tell_message=True)
    )
    await asyncio.sleep(0)
    newcomer.resumes = scene.reply_id
    await scene.resume(newcomer, 0)
    scene.gate.set()
    await joining
    scene.stored = Settled(text="so far and to the end", status="complete")
    await asyncio.sleep(0.2)
    assert [f["type"] for f in old if f["type"] != "chunk"] == ["message", "typing", "done"]
    assert [f["type"] for f in new if f["type"] != "chunk"] == ["done"]
    for sent in (old, new):
        assert "".join(f["text"] for f in sent if f["type"] == "chunk") == "so far and to the end"
    await scene.following.stop()


async def test_resumed_past_what_is_stored_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    outbox, sent = scene.tab()
    await scene.resume(outbox, len("so far and"))
    await asyncio.sleep(0.05)
    assert sent == []
    scene.stored = Settled(text="so far and to the end", status="complete")
    await asyncio.sleep(0.2)
    assert [(f["type"], f["text"]) for f in sent] == [
        ("chunk", " to the end"),
        ("done", "so far and to the end"),
    ]
    assert sent[0]["offset"] == len("so far and")
    await scene.following.stop()


async def test_followed_in_the_moment_in_which_a_mirror_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left, so it ends; who comes before that has been noticed is not left waiting."""
    scene = Scene(monkeypatch)
    first, _ = scene.tab()
    await scene.resume(first, 0)
    mirror, task = scene.following._mirrors[scene.reply_id], scene.following._tasks[scene.reply_id]
    monkeypatch.setattr("chat.mirror.LOOK_SECONDS", 0.1)
    await asyncio.sleep(0.05)
    await first.close()
    second, sent = scene.tab()
    assert not task.done()
    while not task.done():  # noqa: ASYNC110 (the very step of the loop is wanted)
        await asyncio.sleep(0)
    second.follow(mirror.answer)
    scene.stored = Settled(text="so far and to the end", status="complete")
    await asyncio.sleep(0.2)
    assert sent[-1]["type"] == "done"
    await scene.following.stop()


def test_a_copy_is_not_read_before_it_has_grown_past_what_is_known() -> None:
    from chat.stream import Cursor

    copy = Answer(UUID(int=1), behind=True)
    cursor = Cursor(copy, 5)
    copy.append("123")
    assert not cursor.pending
    copy.append("4567")
    assert cursor.pending
    frame = json.loads(cursor.take())
    assert (frame["offset"], frame["text"]) == (5, "67")
