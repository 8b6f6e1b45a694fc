"""A peer of the socket that believes nothing: every frame it gets is checked against PROTOCOL.md."""

import asyncio
import json
import socket
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.live import frames
from tests.live.people import Seat
from tests.live.servers import Server

Frame = dict[str, Any]
# Longer than anything takes on a busy machine; where a deadline matters, tests give their own.
PATIENCE = 30.0
# Every client of the running test, for the state check (`tests.live.agreement`).
made: "list[Client]" = []


@dataclass(frozen=True)
class Answer:
    """An answer as one socket was told it: everything from the question to `done`."""

    frames: list[Frame]

    @property
    def done(self) -> Frame:
        return self.frames[-1]

    @property
    def id(self) -> str:
        return str(self.done["message_id"])

    @property
    def text(self) -> str:
        return str(self.done["text"])

    @property
    def status(self) -> str:
        return str(self.done["status"])

    @property
    def types(self) -> list[str]:
        """The frames' types, a run of chunks counted as one."""
        types = [f["type"] for f in self.frames]
        return [t for t, before in zip(types, [None, *types], strict=False) if t != "chunk" or before != t]

    @property
    def error(self) -> Frame | None:
        return next((f for f in self.frames if f["type"] == "error"), None)

    @property
    def chunks(self) -> list[Frame]:
        return [f for f in self.frames if f["type"] == "chunk"]

    def first(self, kind: str) -> Frame:
        return next(f for f in self.frames if f["type"] == kind)


def _narrow(server: Server) -> dict[str, Any]:
    """A connected socket that takes little: its small segments keep the peer's send buffer small too."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    narrow.connect(("127.0.0.1", server.port))
    return {"sock": narrow}


class Client:
    """`async with Client(server, seat) as client`: connected, authenticated and `ready` inside.

    auth=None: only connected. host: the name in the address; origin: the header, if any.
    narrow: what it does not read stays with the server, but for some KiB in the systems' buffers.
    """

    def __init__(
        self,
        server: Server,
        seat: Seat | None = None,
        *,
        auth: Frame | str | None = "honest",
        conversation: str | None = None,
        host: str = "localhost",
        origin: str | None = None,
        slash: str = "",
        max_queue: int | None = None,
        narrow: bool = False,
    ) -> None:
        self.server, self.seat = server, seat
        self.conversation = conversation or (seat.conversation if seat else str(uuid4()))
        self.auth = seat.person.auth() if auth == "honest" and seat else auth
        self.frames: list[Frame] = []
        self.following: dict[str, frames.Following] = {}
        self.ready: Frame = {}
        self._connect = connect(
            f"ws://{host}:{server.port}/chat/ws/{self.conversation}{slash}",
            **(_narrow(server) if narrow else {"host": "127.0.0.1", "port": server.port}),
            origin=origin,  # type: ignore[arg-type]
            proxy=None,
            compression=None,
            ping_interval=None,
            open_timeout=PATIENCE,
            close_timeout=2,
            max_size=None,
            max_queue=1 if narrow else max_queue,
        )
        self._socket: ClientConnection | None = None
        made.append(self)

    async def __aenter__(self) -> Self:
        self._socket = await self._connect
        if self.auth is not None:
            await self.send(self.auth)
            self.ready = await self.expect("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    async def close(self) -> None:
        await self.socket.close()

    def drop(self) -> None:
        """Be gone without a word, as a phone in a tunnel."""
        self.socket.transport.abort()

    # --- saying -------------------------------------------------------------------------------------

    async def send(self, frame: Any) -> None:
        """A frame (dict), or raw text or bytes."""
        if isinstance(frame, dict) and frame.get("type") == "resume":
            self._of(frame["messageId"]).ask(frame["offset"])
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def say(self, text: str, **fields: Any) -> None:
        await self.send({"type": "message", "text": text, **fields})

    async def ask(self, text: str, **fields: Any) -> Answer:
        """Say it and wait for the whole answer."""
        await self.say(text, **fields)
        return await self.answer()

    async def resume(self, message_id: str, offset: int, **fields: Any) -> None:
        await self.send({"type": "resume", "messageId": message_id, "offset": offset, **fields})

    # --- hearing ------------------------------------------------------------------------------------

    async def receive(self, timeout: float = PATIENCE) -> Frame:
        """The next frame, checked."""
        async with asyncio.timeout(timeout):
            data = await self.socket.recv()
        assert isinstance(data, str), "a binary frame"
        frame: Frame = json.loads(data)
        self._check(frame)
        self.frames.append(frame)
        return frame

    async def expect(self, kind: str, timeout: float = PATIENCE) -> Frame:
        """The next frame, which must be of that type."""
        frame = await self.receive(timeout)
        assert frame["type"] == kind, f"{kind} expected, got {frame}"
        return frame

    async def until(self, kind: str, timeout: float = PATIENCE) -> list[Frame]:
        """The frames up to one of that type, which is the last."""
        got: list[Frame] = []
        async with asyncio.timeout(timeout):
            while not got or got[-1]["type"] != kind:
                got.append(await self.receive())
        return got

    async def answer(self, timeout: float = PATIENCE) -> Answer:
        """The frames up to `done`."""
        return Answer(await self.until("done", timeout))

    async def written(self, message_id: str | None = None, length: int = 1) -> str:
        """Wait until so many code points of an answer are here; returns its id."""
        while True:
            for mid, following in self.following.items():
                if message_id in (None, mid) and following.end >= length and not following.ended:
                    return mid
            await self.receive()

    async def error(self, **wanted: Any) -> Frame:
        """The next frame is an error with these values."""
        frame = await self.expect("error")
        got = {name: frame.get(name) for name in wanted}
        assert got == wanted, frame
        return frame

    async def quiet(self) -> None:
        """Whatever was coming has come, and it was nothing: only our pong arrives."""
        mark = str(uuid4())
        await self.send({"type": "ping", "ref": mark})
        assert (frame := await self.receive()) == {"type": "pong", "ref": mark}, frame

    async def closed(self, timeout: float = PATIENCE) -> int | None:
        """The close code with which the server ends the socket; frames before it are kept in `frames`."""
        async with asyncio.timeout(timeout):
            try:
                while True:
                    await self.receive()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None

    # --- checking -----------------------------------------------------------------------------------

    def _of(self, message_id: str) -> frames.Following:
        return self.following.setdefault(message_id, frames.Following(message_id))

    def _check(self, frame: Frame) -> None:
        frames.check(frame)
        assert frame.get("conversation_id") in (None, self.conversation), f"another conversation's: {frame}"
        if frame["type"] == "chunk":
            self._of(frame["message_id"]).chunk(frame["offset"], frame["text"])
        elif frame["type"] == "done":
            self._of(frame["message_id"]).done(frame["text"])
            before = self.frames[-1]
            told = before["type"] == "error" and before.get("message_id") == frame["message_id"]
            assert told == (frame["status"] == "failed"), f"{before} before {frame}"
