"""Server-sent events, from bytes in any pieces to the data of each event.

The rules are WHATWG's (HTML, 9.2.6): lines end by LF, CRLF or CR, a byte order mark may come first, an empty
line ends an event, lines that begin with a colon are comments, an event that the stream's end cuts is none.
Names, ids and waiting times of events mean nothing to a language model's answer and are passed over.
"""

from agents.errors import Transport

_BOM = b"\xef\xbb\xbf"
# Bytes of one event. The largest of any use carry a picture; beyond that somebody fills our memory.
MAX_EVENT = 16 * 2**20


class EventStream:
    """Feed it what arrives; out comes the data of each event that is complete."""

    __slots__ = ("_begun", "_cr", "_size", "_waiting")

    def __init__(self) -> None:
        # The pieces of an event that is not complete, their line ends all LF.
        self._waiting: list[bytes] = []
        self._size = 0
        self._begun = False
        # The last byte was CR: an LF that follows belongs to it.
        self._cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes; of an event without any, nothing.

        Raises Transport where an event has no end.
        """
        if not self._begun:
            data = self._after_mark(data)
        if self._cr or b"\r" in data:
            data = self._unify(data)
        if not data:
            return []
        if waiting := self._waiting:
            if b"\n\n" not in data and not (data[0] == 10 and waiting[-1][-1] == 10):
                self._keep(data)
                return []
            data = b"".join((*waiting, data))
            self._waiting, self._size = [], 0
        *blocks, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        return [found for block in blocks if (found := _data(block)) is not None]

    def _keep(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT:
            raise Transport()

    def _after_mark(self, data: bytes) -> bytes:
        """What follows a byte order mark; nothing while it is open whether this is one."""
        data = b"".join((*self._waiting, data))
        self._waiting = []
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._waiting = [data]
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _unify(self, data: bytes) -> bytes:
        """`data` with each line end as LF, whatever the pieces in which it came."""
        if self._cr and data[:1] == b"\n":
            data = data[1:]
        self._cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(block: bytes) -> bytes | None:
    """The data of an event's lines, None if it has none."""
    # As nearly all are; the rest of this is for the others.
    if block[:6] == b"data: " and b"\n" not in block:
        return block[6:]
    found = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            found.append(value.removeprefix(b" "))
    return b"\n".join(found) if found else None
