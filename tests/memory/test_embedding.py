"""Vectors: the embedded embedder's, and those of providers, at the fake upstream."""

import asyncio
import math
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents import llm
from agents.errors import AgentError, Client, TimedOut, Transient
from chat.embedding import embed, embedder_of, note_change
from konstruct.tenancy.door import WorkspaceRef
from memory.embedder import LOCAL, embed_local, fit, threshold
from memory.errors import EmbedderChanged, EmbeddingError
from memory.models import DIMENSIONS
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
async def remote(upstream: Upstream, settings: object) -> object:
    """`remote(model)`: the model's name, reached at the fake upstream."""
    upstream.reset()

    def choose(model: str) -> str:
        settings.KONSTRUCT_EMBEDDING_MODEL = f"openai/{model}"  # type: ignore[attr-defined]
        settings.KONSTRUCT_EMBEDDING_API_BASE = upstream.url  # type: ignore[attr-defined]
        return f"openai/{model}"

    yield choose
    await llm.close()


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_the_embedded_embedder_is_the_same_alone_and_in_a_batch() -> None:
    texts = ["The user is allergic to peanuts", "x", "a much longer text " * 400, "¿Qué no puedo comer?"] * 9
    for text, vector in zip(texts, embed_local(texts), strict=True):
        assert len(vector) == DIMENSIONS
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
        assert cosine(vector, embed_local([text])[0]) > 0.9999


def test_it_puts_what_means_the_same_nearer_than_the_threshold() -> None:
    question, peanuts, train = embed_local(
        ["Which food am I allergic to?", "The user has a peanut allergy", "The train leaves at seven"]
    )
    assert cosine(question, peanuts) > threshold(LOCAL) > cosine(question, train)


@pytest.mark.parametrize("text", ["the", "\ud83d", "👩‍👩‍👧", "\x00", "漢字", "?!", "a" * 100_000])
def test_any_text_with_a_character_has_a_vector(text: str) -> None:
    assert math.isclose(math.hypot(*embed_local([text])[0]), 1, abs_tol=1e-5)


def test_no_text_has_none() -> None:
    assert embed_local([]) == []
    with pytest.raises(EmbeddingError):
        embed_local(["fine", ""])


def test_many_threads_may_embed_at_once() -> None:
    texts = [f"text number {number} about something" for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda text: embed_local([text])[0], texts))
    assert at_once == [embed_local([text])[0] for text in texts]


def test_longer_vectors_are_cut_and_made_of_length_one() -> None:
    fitted = fit([3.0, 4.0, *[0.0] * 254, 100.0, 100.0])
    assert fitted[:3] == pytest.approx([0.6, 0.8, 0.0])
    assert len(fitted) == DIMENSIONS


@pytest.mark.parametrize("vector", [[1.0] * 255, [], [0.0] * 256, [math.nan] * 256, [math.inf] * 256])
def test_a_vector_without_use_is_an_error(vector: list[float]) -> None:
    with pytest.raises(EmbeddingError):
        fit(vector)


async def test_a_provider_is_asked_for_as_many_dimensions_as_are_kept(
    upstream: Upstream, remote: object
) -> None:
    name = remote("text-embedding-3-small")  # type: ignore[operator]
    texts = ["peanuts and walnuts", "the night train", "walnuts"]
    nuts, train, walnuts = await embed(texts, name=name, timeout=10)
    (request,) = upstream.requests()
    assert request["params"]["dimensions"] == DIMENSIONS
    assert request["params"]["input"] == texts
    assert cosine(list(nuts), list(walnuts)) > cosine(list(train), list(walnuts))


async def test_a_model_that_knows_no_dimensions_is_shortened_here(remote: object) -> None:
    (vector,) = await embed(["peanuts"], name=remote("embed-768"), timeout=10)  # type: ignore[operator]
    assert len(vector) == DIMENSIONS
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


@pytest.mark.parametrize("model", ["embed-128", "embed-zeros"])
async def test_a_model_without_usable_vectors_is_an_error(remote: object, model: str) -> None:
    with pytest.raises(EmbeddingError):
        await embed(["peanuts"], name=remote(model), timeout=10)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("status-500", Transient),
        ("status-429", Transient),
        ("status-401", Client),
        ("no-such-model", Client),
        ("embed-missing", Client),
    ],
)
async def test_a_providers_failure_is_one_of_ours_without_its_words(
    remote: object, model: str, error: type[AgentError]
) -> None:
    with pytest.raises(error) as raised:
        await embed(["a", "b"], name=remote(model), timeout=10)  # type: ignore[operator]
    assert "SECRET" not in raised.value.sentence


async def test_a_provider_that_hangs_is_left(remote: object) -> None:
    with pytest.raises(TimedOut):
        await embed(["peanuts"], name=remote("hang-first"), timeout=0.2)  # type: ignore[operator]


async def test_the_key_and_address_go_to_the_configured_model_only(
    upstream: Upstream, remote: object, settings: object
) -> None:
    name = remote("embed-256")  # type: ignore[operator]
    settings.KONSTRUCT_EMBEDDING_API_KEY = "sk-only-for-this-one"  # type: ignore[attr-defined]
    await embed(["peanuts"], name=name, timeout=10)
    assert upstream.requests()[0]["authorization"] == "***"
    settings.KONSTRUCT_MODEL = "anthropic/claude"  # type: ignore[attr-defined]
    with pytest.raises(AgentError):
        await embed(["peanuts"], name="openai/embed-256b", timeout=5)
    assert len(upstream.requests()) == 1


async def test_a_workspaces_embedder_is_read_once_and_changed_on_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chat import embedding

    reads = 0

    async def read(*_: object) -> object:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return type("Policy", (), {"embedder": LOCAL})

    monkeypatch.setattr(embedding, "in_workspace", read)
    monkeypatch.setattr(embedding, "_embedders", {})
    acme, globex = (WorkspaceRef(uuid.uuid4(), f"ws_{name}", name, name) for name in ("acme", "globex"))
    assert [await embedder_of(acme), await embedder_of(acme), await embedder_of(globex)] == [LOCAL] * 3
    assert reads == 2
    note_change(acme, EmbedderChanged("text-embedding-3-small"))
    assert (await embedder_of(acme), await embedder_of(globex)) == ("text-embedding-3-small", LOCAL)
