"""Vectors of memories that a person has written or changed, where making one takes a provider's call."""

from uuid import UUID

from chat import embedding
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.jobs import JobError, job
from memory.authoring import text_of
from memory.errors import EmbedderChanged, EmbeddingError
from memory.store import attach_vector

EMBED_SECONDS = 30.0


def defer_vector(*, workspace_id: UUID, memory_id: UUID) -> None:
    """Make the memory's vector soon; part of the caller's transaction."""
    embed_memory.defer(workspace_id=workspace_id, memory_id=memory_id)


@job("chat.embed_memory")
async def embed_memory(workspace: WorkspaceRef, memory_id: UUID) -> None:
    """Embed what the memory says now. Where it is reworded meanwhile, that has brought a job of its own."""
    text = await in_workspace(workspace, text_of, memory_id=memory_id)
    if text is None:
        return
    embedder = await embedding.embedder_of(workspace)
    try:
        (vector,) = await embedding.embed([text], name=embedder, timeout=EMBED_SECONDS)
        await in_workspace(
            workspace, attach_vector, memory_id=memory_id, text=text, embedder=embedder, vector=vector
        )
    except EmbedderChanged as changed:
        embedding.note_change(workspace, changed)
        raise JobError("The workspace moved to another embedding model meanwhile.") from changed
    except EmbeddingError as error:
        # It is found by its words only.
        raise JobError(str(error), retryable=False) from error
