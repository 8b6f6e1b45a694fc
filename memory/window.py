"""Short-term memory: the end of a conversation's branch, as much of it as fits a budget of tokens.

Pure values; where they are kept at hand is `memory.hot`, where they come from is the caller's matter.
"""

from collections.abc import Iterator, Sequence
from typing import Literal
from uuid import UUID

from msgspec import Struct

# The rule of thumb by which budgets are counted here: 4 UTF-8 bytes a token, and what surrounds a message.
BYTES_A_TOKEN = 4
TOKENS_A_MESSAGE = 4

Role = Literal["user", "assistant"]


class Said(Struct, frozen=True, array_like=True):
    """A message of a branch. `text` is "" where nothing of it is to be said again (an answer that failed):
    it is still a link between the messages before and after it."""

    id: UUID
    parent_id: UUID | None
    role: Role
    text: str

    @property
    def tokens(self) -> int:
        return count(self.text) + TOKENS_A_MESSAGE if self.text else 0


class Line(Struct, frozen=True):
    """What one of the two said in one go, as a prompt takes it."""

    role: Role
    text: str


class Window(Struct, frozen=True):
    """A summary, and every message of the branch after it, oldest first.

    base_id: the message that the summary reaches up to; None where the branch is held from its beginning.
    whole: False where messages between `base_id` and the first one held are missing.
    """

    said: tuple[Said, ...] = ()
    base_id: UUID | None = None
    summary: str = ""
    whole: bool = True

    @property
    def leaf_id(self) -> UUID | None:
        """The last message it holds, or stands for."""
        return self.said[-1].id if self.said else self.base_id

    @property
    def held(self) -> frozenset[UUID]:
        """The messages at which it can be cut (`upto`)."""
        ids = {one.id for one in self.said}
        return frozenset(ids if self.base_id is None else {*ids, self.base_id})

    @property
    def tokens(self) -> int:
        return sum(one.tokens for one in self.said)

    @property
    def is_linked(self) -> bool:
        """Whether each message answers the one before it, from `base_id` on."""
        before = self.base_id if self.whole or not self.said else self.said[0].parent_id
        for one in self.said:
            if one.parent_id != before:
                return False
            before = one.id
        return True

    def upto(self, message_id: UUID) -> "Window":
        """The same as it was when this message was the last. Raises KeyError for one that is not held."""
        if message_id == self.base_id:
            return Window((), self.base_id, self.summary)
        for index, one in enumerate(self.said):
            if one.id == message_id:
                return Window(self.said[: index + 1], self.base_id, self.summary, self.whole)
        raise KeyError(message_id)

    def followed_by(self, *said: Said) -> "Window":
        return Window((*self.said, *said), self.base_id, self.summary, self.whole)

    def lines(self, budget: int) -> tuple[Line, ...]:
        """The newest exchanges that fit, whole and without a gap, oldest first, speakers taking turns.

        It begins with a question. A question whose answer failed stands together with the next one; the
        last line is a question where the newest answer failed.
        """
        kept: list[list[Said]] = []
        for exchange in reversed(list(_exchanges(self.said))):
            budget -= sum(one.tokens for one in exchange)
            if budget < 0:
                break
            kept.append(exchange)
        return _alternating([one for exchange in reversed(kept) for one in exchange])


def count(text: str) -> int:
    """Tokens of `text`, estimated."""
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_A_TOKEN)


def _exchanges(said: Sequence[Said]) -> Iterator[list[Said]]:
    """A question with what was answered; an answer to nothing belongs to none."""
    exchange: list[Said] = []
    for one in said:
        if one.role == "user":
            if exchange:
                yield exchange
            exchange = [one]
        elif exchange:
            exchange.append(one)
    if exchange:
        yield exchange


def _alternating(said: Sequence[Said]) -> tuple[Line, ...]:
    lines: list[Line] = []
    for one in said:
        if not one.text:
            continue
        if lines and lines[-1].role == one.role:
            lines[-1] = Line(one.role, joined(lines[-1].text, one.text))
        else:
            lines.append(Line(one.role, one.text))
    return tuple(lines)


def joined(first: str, second: str) -> str:
    """Two texts that one person said in a row, as one; said again word for word, it is said once."""
    said_already = first == second or first.endswith(f"\n\n{second}")
    return first if said_already else f"{first}\n\n{second}"
