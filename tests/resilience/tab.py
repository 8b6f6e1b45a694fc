"""A browser's tab: it loses its connection, comes back, resumes where it was, and keeps what it was told.

Each following of an answer is checked by itself (`Follow`): from where it was asked for, without gap or
overlap, to one end. What the tab then knows must be what is stored.
"""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from websockets.exceptions import ConnectionClosed

from tests.live import client, frames
from tests.live.client import Frame
from tests.live.people import Seat
from tests.live.servers import Server

ENDED = {"complete", "stopped", "failed", "interrupted"}
_refs = itertools.count(1)


class Client(client.Client):
    """Each frame is checked by itself; what belongs together is the tab's to check."""

    def _check(self, frame: Frame) -> None:
        frames.check(frame)
        assert frame.get("conversation_id") in (None, self.conversation), f"another conversation's: {frame}"


@dataclass
class Follow:
    """One following of one answer on one connection. `ref`: that of the frame that asked for it."""

    message_id: str
    ref: str | None
    position: int
    resumed: bool = False
    told: bool = False
    ended: bool = False
    # Another one has begun on this connection: this one says nothing more.
    moved: bool = False

    def alive(self) -> None:
        assert not self.ended, f"frames after the terminal one ({self.message_id}, {self.ref})"
        assert not self.moved, f"frames of a following that was moved ({self.message_id}, {self.ref})"


@dataclass
class Known:
    """A message as a tab knows it."""

    role: str
    text: str = ""
    status: str = ""
    chunks: int = 0


@dataclass
class Tab:
    """`where()`: the server to connect to, anew each time."""

    seat: Seat
    where: Callable[[], Server]
    resumes_at: Callable[[int], int] = lambda end: end
    state: dict[str, Known] = field(default_factory=dict)
    connections: int = 0
    follows: dict[str, list[Follow]] = field(default_factory=dict)
    _client: Client | None = None
    _pump: asyncio.Task[None] | None = None
    # What was said and not yet confirmed: its own id for it, and the text.
    _unsaved: dict[str, str] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    # Its own id for what it said -> the answer's.
    replies: dict[str, str] = field(default_factory=dict)
    _times_said: Counter[str] = field(default_factory=Counter)

    @property
    def connected(self) -> bool:
        return self._client is not None

    # --- what it does ---------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect, resume what runs or ended meanwhile, say again what was not confirmed."""
        client = Client(self.where(), self.seat)
        await client.__aenter__()
        self._client, self.follows = client, {}
        self.connections += 1
        ready = client.ready
        active, last = ready["active"], ready["last_message_id"]
        open_ones = [
            mid for mid, known in self.state.items() if known.role == "assistant" and not known.status
        ]
        due = dict.fromkeys([*open_ones, *([active["message_id"]] if active else [])])
        if last and (last not in self.state or not self.state[last].status):
            due.setdefault(last)
        self._pump = asyncio.create_task(self._read(client))
        for message_id in due:
            await self.resume(message_id)
        for client_id, text in tuple(self._unsaved.items()):
            await self._say(client_id, text)

    async def say(self, text: str) -> str:
        """Returns the id that this tab gave it."""
        client_id = str(uuid4())
        self._unsaved[client_id] = self._said[client_id] = text
        await self._say(client_id, text)
        return client_id

    async def _say(self, client_id: str, text: str) -> None:
        self._times_said[client_id] += 1
        await self._send({"type": "message", "text": text, "messageId": client_id, "ref": f"say {client_id}"})

    async def resume(self, message_id: str) -> None:
        """From the last offset, or where `resumes_at` says."""
        end = len(self.state[message_id].text) if message_id in self.state else 0
        offset, ref = self.resumes_at(end), f"resume {next(_refs)}"
        self.follows.setdefault(message_id, []).append(Follow(message_id, ref, offset, resumed=True))
        await self._send({"type": "resume", "messageId": message_id, "offset": offset, "ref": ref})

    async def stop(self, message_id: str | None = None) -> None:
        await self._send({"type": "stop", "ref": "stop", **({"messageId": message_id} if message_id else {})})

    async def drop(self) -> None:
        """Gone without a word."""
        client, pump = self._client, self._pump
        self._client = None
        if client is not None and pump is not None:
            client.drop()
            await pump

    async def close(self) -> None:
        client, pump = self._client, self._pump
        self._client = None
        if client is not None and pump is not None:
            await client.close()
            await pump

    async def _send(self, frame: Frame) -> None:
        if self._client is not None:
            # Who is cut off while speaking learns it by reading.
            with contextlib.suppress(ConnectionClosed):
                await self._client.send(frame)

    def describe(self) -> str:
        """For a failure: what it follows, and the last frames of its connection."""
        follows = [f for asked in self.follows.values() for f in asked]
        ready = self._client.ready if self._client else None
        last = [
            {**f, "text": f.get("text", "")[:12]} for f in (self._client.frames[-6:] if self._client else [])
        ]
        return f"tab: connection {self.connections}, ready {ready}, follows {follows}, last frames {last}"

    # --- what it waits for ----------------------------------------------------------------------------

    async def until(self, what: Callable[[], bool], timeout: float = 20.0) -> None:
        """Wait until it is so. Raises at once what was wrong with a frame."""
        async with asyncio.timeout(timeout):
            while not what():
                self._check_pump()
                self._news.clear()
                await self._news.wait()
        self._check_pump()

    def ended(self, message_id: str) -> bool:
        """Whether the end of it is known, and nothing asked for on this connection is outstanding."""
        if asked := self.follows.get(message_id):
            return asked[-1].ended
        return message_id in self.state and bool(self.state[message_id].status)

    async def quiet(self) -> None:
        """Nothing more was coming: neither before nor after an exchange with the server."""
        assert self._client is not None
        before = len(self._client.frames)
        mark = f"ping {next(_refs)}"
        await self._send({"type": "ping", "ref": mark})
        client = self._client
        await self.until(lambda: any(f.get("ref") == mark for f in client.frames[before:]))
        late = [f for f in client.frames[before:] if f["type"] != "pong" and f.get("ref") != "stop"]
        assert not late, f"after the end: {late}"

    def _check_pump(self) -> None:
        if self._pump is not None and self._pump.done():
            self._pump.result()
            assert self._client is None, "the server closed the connection"

    # --- what it hears --------------------------------------------------------------------------------

    async def _read(self, client: Client) -> None:
        try:
            while True:
                frame = await client.receive(120)
                if client is self._client:
                    await self._hear(frame)
                    self._news.set()
        except ConnectionClosed:
            pass  # dropped by us; `until` notices if it was not
        finally:
            self._news.set()

    async def _hear(self, frame: Frame) -> None:
        kind: str = frame["type"]
        if kind == "message":
            self.state.setdefault(frame["message_id"], Known("user", frame["text"], "complete"))
        elif kind == "typing":
            # Where a `resume` is under way, this was said before it was read.
            asked = self.follows.setdefault(frame["message_id"], [])
            if not any(f.ref == frame.get("ref") for f in asked):
                resumed = (n for n, f in enumerate(asked) if f.resumed and not f.told)
                follow = Follow(frame["message_id"], frame.get("ref"), 0)
                asked.insert(next(resumed, len(asked)), follow)
        elif kind == "saved":
            await self._saved(frame)
        elif kind == "chunk":
            self._chunk(frame)
        elif kind == "done":
            self._done(frame)
        elif kind == "error":
            # A stop that came too late; the error of a failed answer is no part of these scenes.
            assert frame.get("ref") == "stop" and frame["code"] == "not_found", frame

    async def _saved(self, frame: Frame) -> None:
        client_id, reply_id = frame["client_id"], frame["reply_id"]
        text = self._said[client_id]
        self.state.setdefault(frame["message_id"], Known("user", text, "complete"))
        self.replies[client_id] = reply_id
        self._unsaved.pop(client_id, None)
        if self._times_said[client_id] > 1:
            # This may be all there is to hear of it, so the answer is asked for by name.
            await self.resume(reply_id)

    def _follow(self, frame: Frame) -> Follow:
        message_id, ref = frame["message_id"], frame.get("ref")
        asked = self.follows.get(message_id, [])
        found = next((f for f in asked if f.ref == ref), None)
        assert found is not None, f"not followed on this connection: {frame}"
        found.alive()
        if not found.told:
            found.told = True
            for other in asked[: asked.index(found)]:
                other.moved = True
        return found

    def _chunk(self, frame: Frame) -> None:
        follow, text = self._follow(frame), frame["text"]
        assert frame["offset"] == follow.position, f"{frame} at {follow.position}"
        follow.position += len(text)
        known = self.state.setdefault(frame["message_id"], Known("assistant"))
        before = known.text[frame["offset"] :]
        assert text.startswith(before) or before.startswith(text), f"another text than before: {frame}"
        if len(text) > len(before):
            known.text = known.text[: frame["offset"]] + text
        known.chunks += 1

    def _done(self, frame: Frame) -> None:
        follow = self._follow(frame)
        follow.ended = True
        known = self.state.setdefault(frame["message_id"], Known("assistant"))
        if frame["status"] == "interrupted":
            # What a killed process had not stored is lost, and `done` has the last word.
            assert known.text.startswith(frame["text"]) or frame["text"] == known.text
        else:
            assert frame["text"] == known.text, f"done's text is not that of the chunks: {frame}, {known}"
            assert follow.position == len(frame["text"]), f"the end came at {follow.position}: {frame}"
        assert known.status in ("", frame["status"]), f"it ended twice, and differently: {frame}, {known}"
        known.text, known.status = frame["text"], frame["status"]


def plain(messages: list[dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
    """Stored messages (from the API or the database) in the form of `as_plain`."""
    return {str(m["id"]): (m["role"], m["text"], m["status"]) for m in messages}


def as_plain(tab: Tab) -> dict[str, tuple[str, str, str]]:
    return {mid: (known.role, known.text, known.status) for mid, known in tab.state.items()}
