"""What people write or change by hand. Synchronous, keyword-only, atomic; run inside a workspace.

Without a `user_id` it is about the workspace's own notes, which everybody's employees may see; that the
person may look after them is the caller's to check.

`vector` may be None where making one takes a call that a person should not wait for: until `attach_vector`
brings it, the memory is found by its words only.
"""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from memory.errors import InvalidText, MemoryNotFound, SecretText
from memory.hygiene import is_secret
from memory.locks import hold_embedder, hold_user
from memory.models import Kind, Memory, MemoryVector
from memory.rows import current, info, put_vector
from memory.values import MAX_NOTE, MemoryInfo, Vector


@transaction.atomic
def add_note(
    *,
    text: str,
    embedder: str,
    vector: Vector | None,
    agent_id: UUID | None = None,
    user_id: UUID | None = None,
) -> MemoryInfo:
    """A note for one employee, or for all. Raises InvalidText, SecretText, EmbedderChanged."""
    text = checked(text)
    hold_embedder(embedder)
    hold_user(user_id)
    row = Memory.objects.create(user_id=user_id, agent_id=agent_id, kind=Kind.NOTE, text=text)
    if vector is not None:
        put_vector(row, embedder, vector)
    return info(row)


@transaction.atomic
def edit(
    *, user_id: UUID | None, memory_id: UUID, text: str, embedder: str, vector: Vector | None
) -> MemoryInfo:
    """Put a memory into the person's own words; what it said before is gone.

    Raises MemoryNotFound (history cannot be edited either), InvalidText, SecretText, EmbedderChanged.
    """
    text = checked(text)
    hold_embedder(embedder)
    hold_user(user_id)
    row = current().filter(id=memory_id, user_id=user_id).first()
    if row is None:
        raise MemoryNotFound(memory_id)
    row.text, row.edited_at = text, timezone.now()
    row.save(update_fields=["text", "edited_at"])
    MemoryVector.objects.filter(memory=row).delete()
    if vector is not None:
        put_vector(row, embedder, vector)
    return info(row)


@transaction.atomic
def attach_vector(*, memory_id: UUID, text: str, embedder: str, vector: Vector) -> bool:
    """Give a memory its vector, if it still says the text that the vector was made of; whether it does.

    Raises EmbedderChanged.
    """
    hold_embedder(embedder)
    row = current().select_for_update().filter(id=memory_id, text=text).first()
    if row is None:
        return False
    put_vector(row, embedder, vector)
    return True


def checked(text: str) -> str:
    """The text as it is stored. Raises InvalidText, SecretText."""
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode().strip()
    if not 0 < len(text) <= MAX_NOTE:
        raise InvalidText(len(text))
    if is_secret(text):
        raise SecretText()
    return text
