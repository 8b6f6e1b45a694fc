"""What stands for the part of a conversation that the window no longer holds.

A summary is of a branch, from its beginning up to one message, and holds for every branch that goes through
that message; the earlier ones stay, for those that leave it before. Functions that write are synchronous,
keyword-only, atomic, and run inside a workspace.
"""

from collections.abc import Sequence
from uuid import UUID

from memory.models import Summary
from memory.window import Said

# Of a summary, in characters.
MAX_CHARS = 4_000
# Shares of a window's budget: messages are folded when more than the first is in use, until the second is.
# Between them lie the turns for which one summary does.
FOLD_ABOVE = 0.75
FOLD_DOWN_TO = 0.4

# What a person said stands in a line that begins with a dash.
_GAP = "[…]"


def keep(*, conversation_id: UUID, upto_id: UUID, text: str) -> bool:
    """Keep a summary of all up to and with that message. False: there is one already, which stays."""
    text = text.replace("\x00", "")[:MAX_CHARS]
    _, created = Summary.objects.get_or_create(
        upto_id=upto_id, defaults={"conversation_id": conversation_id, "text": text}
    )
    return created


def drop(*, conversation_id: UUID) -> None:
    """The conversation is gone, and so is what stood for its parts."""
    Summary.objects.filter(conversation_id=conversation_id).delete()


def is_full(tokens: int, budget: int) -> bool:
    """Whether something is to be folded where so many tokens of the window's budget are in use."""
    return tokens > budget * FOLD_ABOVE


def overflow(sizes: Sequence[int], budget: int) -> int:
    """How many of these, oldest first, are to be folded for the rest to have room again. The last never is.

    sizes: the tokens of each exchange.
    """
    rest = sum(sizes)
    if not is_full(rest, budget):
        return 0
    for index, size in enumerate(sizes[:-1]):
        if rest <= budget * FOLD_DOWN_TO:
            return index
        rest -= size
    return max(len(sizes) - 1, 0)


def extract(*, previous: str, said: Sequence[Said], limit: int, a_line: int = 80) -> str:
    """A summary without a model: how each of the person's messages begins, after those of `previous`.

    limit: characters of it all. Where they do not suffice the middle is left out: a conversation's
    beginning says what it is about, and its end is the nearest.
    """
    known = [line[: limit // 4] for line in previous.splitlines()]
    gap = known.index(_GAP) if _GAP in known else None
    first = known[:gap]
    rest = [] if gap is None else known[gap + 1 :]
    rest += ["- " + _beginning(one.text, a_line) for one in said if one.role == "user" and one.text.strip()]
    if gap is None:
        if _length([*first, *rest]) <= limit:
            return "\n".join([*first, *rest])
        first, rest = [*first, *rest], []
    # The head, once the middle is gone, stays as it is.
    head: list[str] = []
    while first and _length([*head, first[0]]) <= limit // 2:
        head.append(first.pop(0))
    rest = [*first, *rest]
    tail: list[str] = []
    while rest and _length([*head, _GAP, rest[-1], *tail]) <= limit:
        tail.insert(0, rest.pop())
    return "\n".join([*head, _GAP, *tail])


def _beginning(text: str, length: int) -> str:
    """The text's first line, as it were, cut between words."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else line[:length].rsplit(" ", 1)[0] + "…"


def _length(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)
