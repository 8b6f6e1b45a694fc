"""The answer as it grows: one buffer, many cursors (design decision 2). No Django here.

A running answer is one append-only text. Whoever follows it holds an offset, in Unicode code points,
and takes all that lies past it whenever free to: a fast follower gets tokens, a slow one fewer and
larger pieces, memory stays one copy, and to resume is to start a cursor elsewhere.
"""

from bisect import bisect_right
from collections.abc import Callable
from uuid import UUID

from chat.protocol import Chunk, ServerFrame, encode


class Answer:
    """A text that is being written. Appended to by its turn only, on the event loop's thread.

    behind: a copy of one that is written elsewhere, so a follower may know more of it already.
    """

    __slots__ = (
        "_encoded",
        "_encoded_from",
        "_encoded_to",
        "_listeners",
        "_pieces",
        "_starts",
        "behind",
        "length",
        "message_id",
        "terminal",
    )

    def __init__(self, message_id: UUID, *, behind: bool = False) -> None:
        self.message_id = message_id
        self.behind = behind
        self.length = 0
        # The frames that end it (`error` and `done`, or `done` alone); None while it is written.
        self.terminal: tuple[ServerFrame, ...] | None = None
        self._pieces: list[str] = []
        self._starts: list[int] = []
        self._listeners: dict[object, Callable[[], None]] = {}
        # The chunk that was encoded last: whoever stands at the same place gets the same.
        self._encoded = ""
        self._encoded_from = self._encoded_to = -1

    def append(self, text: str) -> None:
        """Add text at the end and tell the followers. Empty text is nothing."""
        if not text:
            return
        if self.terminal is not None:
            raise RuntimeError("an answer that has ended cannot grow")
        self._starts.append(self.length)
        self._pieces.append(text)
        self.length += len(text)
        self._tell()

    def finish(self, *terminal: ServerFrame) -> None:
        """End it with the frames that every follower gets last. Only the first call counts."""
        if self.terminal is None:
            self.terminal = terminal
            self._tell()

    def read(self, offset: int) -> str:
        """All text from `offset` (code points) on; empty where nothing lies past it."""
        if offset >= self.length:
            return ""
        index = bisect_right(self._starts, offset) - 1
        tail = self._pieces[index:]
        tail[0] = tail[0][offset - self._starts[index] :]
        return tail[0] if len(tail) == 1 else "".join(tail)

    def chunk(self, offset: int, ref: str | None = None) -> str:
        """The encoded frame with all text from `offset` on, which must be some."""
        if ref is not None:
            frame = Chunk(text=self.read(offset), message_id=self.message_id, offset=offset, ref=ref)
            return encode(frame)
        if (offset, self.length) != (self._encoded_from, self._encoded_to):
            self._encoded = encode(Chunk(text=self.read(offset), message_id=self.message_id, offset=offset))
            self._encoded_from, self._encoded_to = offset, self.length
        return self._encoded

    @property
    def text(self) -> str:
        """The whole text so far."""
        if len(self._pieces) > 1:
            self._pieces, self._starts = ["".join(self._pieces)], [0]
        return self._pieces[0] if self._pieces else ""

    def listen(self, who: object, callback: Callable[[], None]) -> None:
        """Call `callback()` at each growth and at the end, until `forget(who)`."""
        self._listeners[who] = callback

    def forget(self, who: object) -> None:
        self._listeners.pop(who, None)

    @property
    def followers(self) -> int:
        return len(self._listeners)

    def _tell(self) -> None:
        for callback in tuple(self._listeners.values()):
            callback()


class Cursor:
    """A follower's place in an answer. `ref` goes with every frame, where the follower asked by name."""

    __slots__ = ("answer", "not_before", "offset", "ref")

    def __init__(self, answer: Answer, offset: int, ref: str | None = None) -> None:
        self.answer = answer
        # Of a copy nothing is sent before it has grown past what the follower knows.
        self.offset = offset if answer.behind else min(offset, answer.length)
        self.ref = ref
        self.not_before = 0.0

    def take(self) -> str:
        """The encoded frame with all text past the offset; the cursor moves to the end."""
        offset, self.offset = self.offset, self.answer.length
        return self.answer.chunk(offset, self.ref)

    @property
    def pending(self) -> bool:
        return self.offset < self.answer.length

    @property
    def ended(self) -> bool:
        return self.answer.terminal is not None
