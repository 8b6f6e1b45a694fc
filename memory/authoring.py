"""Writing by hand, with the vector that finds it. Synchronous, keyword-only, atomic; run inside a workspace.

The embedded embedder is asked at once. Another one takes a call that nobody should wait for: the memory is
stored without a vector, and `later(memory_id)`, handed in by the caller, has one made soon. It is called
inside the transaction.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from memory import notes
from memory.embedder import LOCAL, embed_local
from memory.errors import EmbedderChanged, EmbeddingError
from memory.policy import policy
from memory.rows import current
from memory.values import MemoryInfo, Vector

Later = Callable[[UUID], None]

# How often the embedder may change between two statements before that is a mistake of ours.
_TRIES = 3


def add_note(*, text: str, agent_id: UUID | None = None, later: Later) -> MemoryInfo:
    """A note of the workspace's own, for one employee or for all; that the person may write it has been
    checked by the caller. Raises InvalidText, SecretText."""
    return _written(
        lambda embedder, vector: notes.add_note(
            text=text, agent_id=agent_id, embedder=embedder, vector=vector
        ),
        text,
        later,
    )


def edit(*, user_id: UUID | None, memory_id: UUID, text: str, later: Later) -> MemoryInfo:
    """`memory.notes.edit`, with the new text's vector. Raises MemoryNotFound, InvalidText, SecretText."""
    return _written(
        lambda embedder, vector: notes.edit(
            user_id=user_id, memory_id=memory_id, text=text, embedder=embedder, vector=vector
        ),
        text,
        later,
    )


def text_of(*, memory_id: UUID) -> str | None:
    """What a memory says that is to have a vector; None: forgotten, or history by now."""
    return current().filter(id=memory_id).values_list("text", flat=True).first()


def _written(write: Callable[[str, Vector | None], MemoryInfo], text: str, later: Later) -> MemoryInfo:
    for attempt in range(_TRIES):
        embedder = policy().embedder
        try:
            with transaction.atomic():
                info = write(embedder, _vector(text) if embedder == LOCAL else None)
                if embedder != LOCAL:
                    later(info.id)
                return info
        except EmbedderChanged:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


def _vector(text: str) -> Vector | None:
    """None for a text without a single token: nothing will ever be near it."""
    text = notes.checked(text)
    try:
        return embed_local([text])[0]
    except EmbeddingError:
        return None
