"""Vectors of what was written by hand, made by a provider's model at the fake upstream."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from pytest_django.fixtures import Settings

from agents import llm
from chat import embedding, memories
from chat.jobs.vectors import embed_memory
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from memory import authoring, store
from memory.embedder import LOCAL
from memory.models import Memory, MemoryPolicy, MemoryVector
from tests.jobs.conftest import Places, defer, idle, rows, until, working
from tests.upstream import Upstream

# What litellm's own classes warn of, at the first call of the process, whichever test that is in.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is using the `ReadOnly` qualifier:UserWarning"),
]
REMOTE = "openai/text-embedding-3-small"


@pytest.fixture
async def remote(
    places: Places, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Upstream]:
    """The first workspace's embedder is at the fake upstream, the second's is the embedded one."""
    monkeypatch.setattr(embedding, "_embedders", {})
    with Upstream() as upstream:
        settings.KONSTRUCT_EMBEDDING_MODEL = REMOTE
        settings.KONSTRUCT_EMBEDDING_API_BASE = upstream.url
        await in_workspace(places[0], _move, embedder=REMOTE)
        await in_workspace(places[1], _move, embedder=LOCAL)
        yield upstream
        for workspace in places:
            await in_workspace(workspace, _clear)
        await llm.close()


def _move(*, embedder: str) -> None:
    store.policy()
    MemoryPolicy.objects.update(embedder=embedder)


def _clear() -> None:
    MemoryVector.objects.all().delete()
    Memory.objects.all().delete()
    MemoryPolicy.objects.all().delete()


async def write(workspace: WorkspaceRef, text: str) -> UUID:
    later = memories.embed_later(workspace.id)
    return (await in_workspace(workspace, authoring.add_note, text=text, later=later)).id


async def embedders(workspace: WorkspaceRef, memory_id: UUID) -> list[str]:
    def read() -> list[str]:
        found = MemoryVector.objects.filter(memory_id=memory_id)
        return list(found.values_list("embedder", flat=True))

    return await in_workspace(workspace, read)


def asked(upstream: Upstream) -> list[list[str]]:
    return [request["params"]["input"] for request in upstream.requests()]


async def test_a_job_brings_the_vector_of_the_newest_wording(places: Places, remote: Upstream) -> None:
    here, _ = places
    note = await write(here, "The office closes at six")
    await in_workspace(
        here,
        authoring.edit,
        user_id=None,
        memory_id=note,
        text="The office closes at five",
        later=memories.embed_later(here.id),
    )
    assert await embedders(here, note) == []
    async with working():
        await idle()
    assert await embedders(here, note) == [REMOTE]
    assert await rows() == []
    assert {texts[0] for texts in asked(remote)} == {"The office closes at five"}


async def test_the_embedded_embedder_needs_no_job(places: Places, remote: Upstream) -> None:
    note = await write(places[1], "The office closes at six")
    assert await embedders(places[1], note) == [LOCAL]
    assert await rows() == [] and asked(remote) == []


async def test_what_is_forgotten_meanwhile_gets_no_vector(places: Places, remote: Upstream) -> None:
    here, _ = places
    note = await write(here, "The office closes at six")
    # Not by `chat.memories`, which would take the job along.
    await in_workspace(here, store.forget, user_id=None, memory_id=note)
    async with working():
        await idle()
    assert await embedders(here, note) == [] and await rows() == [] and asked(remote) == []


async def test_a_workspace_that_moves_meanwhile_is_embedded_anew(places: Places, remote: Upstream) -> None:
    here, _ = places
    note = await write(here, "The office closes at six")
    await embedding.embedder_of(here)
    await in_workspace(here, _move, embedder=LOCAL)

    async def made() -> bool:
        return await embedders(here, note) == [LOCAL]

    async with working():
        await until(made)
        await idle()


async def test_a_memory_of_another_workspace_is_not_touched(places: Places, remote: Upstream) -> None:
    note = await write(places[1], "The office closes at six")
    await defer(places[0], embed_memory, memory_id=note)
    async with working():
        await idle()
    assert await embedders(places[1], note) == [LOCAL] and asked(remote) == []
