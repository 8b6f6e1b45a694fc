"""Texts to vectors with whichever embedder a workspace uses: where `memory` and `agents` meet.

Asynchronous; `memory.embedder` is the embedded one, `agents.llm` asks the others.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings

from agents import llm
from agents.employees import model_choice
from agents.types import ModelChoice
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from memory.embedder import LOCAL, MAX_CHARACTERS, embed_local, fit
from memory.errors import EmbedderChanged
from memory.models import DIMENSIONS
from memory.policy import policy
from memory.values import Vector

# Each workspace's embedder as last read: it changes by `manage.py reembed`, once in years.
_embedders: dict[UUID, str] = {}


async def embedder_of(workspace: WorkspaceRef) -> str:
    """The name of the workspace's embedder, read once a process: where what you do with it raises
    EmbedderChanged, tell `note_change` and begin anew."""
    known = _embedders.get(workspace.id)
    if known is None:
        known = _embedders[workspace.id] = (await in_workspace(workspace, policy)).embedder
    return known


def note_change(workspace: WorkspaceRef, changed: EmbedderChanged) -> None:
    """The workspace's embedder is another now."""
    _embedders[workspace.id] = changed.embedder


async def embed(texts: Sequence[str], *, name: str, timeout: float) -> list[Vector]:
    """The vectors of the texts, in order, by the embedder of that name, in at most `timeout` seconds.

    Raises AgentError (TimedOut, Transient, ...) where a provider cannot, TimeoutError where the embedded
    one is not loaded in time, EmbeddingError for vectors that are of no use.
    """
    texts = [text[:MAX_CHARACTERS] for text in texts]
    if not texts:
        return []
    if name == LOCAL:
        async with asyncio.timeout(timeout):
            return list(await asyncio.to_thread(embed_local, texts))
    return [fit(vector) for vector in await llm.embed(_choice(name), texts, DIMENSIONS, timeout)]


def _choice(name: str) -> ModelChoice:
    """KONSTRUCT_EMBEDDING_API_BASE and _API_KEY belong to KONSTRUCT_EMBEDDING_MODEL; without them it is
    reached as any model of its provider is."""
    known = model_choice(name)
    if name != settings.KONSTRUCT_EMBEDDING_MODEL:
        return known
    return ModelChoice(
        name=name,
        api_base=settings.KONSTRUCT_EMBEDDING_API_BASE or known.api_base,
        api_key=settings.KONSTRUCT_EMBEDDING_API_KEY or known.api_key,
    )
