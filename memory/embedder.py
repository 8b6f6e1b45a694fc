"""From texts to vectors: the embedded embedder, and what a remote one's vectors need to be of use here.

Which embedder a workspace uses is in its policy (`memory.policy`), by name: LOCAL, or a litellm embedding
model's. Remote ones are asked by `chat.embedding`; this room knows no provider.

The embedded one is wordllama: the mean of static embeddings of the tokens of a text's telling words. It
takes a third of a millisecond a sentence and needs no network. Its English is good, its Spanish fair, and
it does not relate one language to the other; names and numbers, which it blurs, the index of words finds
(`memory.recall`).
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from memory.errors import EmbeddingError
from memory.models import DIMENSIONS
from memory.sameness import telling_words

logger = logging.getLogger(__name__)

LOCAL = "wordllama-256"
# Characters of a text that are embedded: about 8,000 tokens is what remote models take, and the mean of a
# whole book says nothing.
MAX_CHARACTERS = 8000
_BATCH = 16

# The least cosine at which a memory bears on a question. LOCAL's is measured (benchmarks.recall_quality).
# Others' spaces differ; theirs only keeps out what is plainly foreign, and KONSTRUCT_EMBEDDING_THRESHOLD
# sets a better one.
_THRESHOLDS = {LOCAL: 0.3}
_UNMEASURED = 0.25

_loading = threading.Lock()
_model: Any = None


def configured() -> str:
    """The embedder of the settings: what new workspaces begin with."""
    return settings.KONSTRUCT_EMBEDDING_MODEL or LOCAL


def threshold(embedder: str) -> float:
    """The least cosine similarity to a question at which a memory is worth recalling."""
    if embedder == settings.KONSTRUCT_EMBEDDING_MODEL and settings.KONSTRUCT_EMBEDDING_THRESHOLD is not None:
        return settings.KONSTRUCT_EMBEDDING_THRESHOLD
    return _THRESHOLDS.get(embedder, _UNMEASURED)


def warm() -> threading.Thread:
    """Load the embedded embedder beside whatever goes on; for the start of a server or worker."""
    thread = threading.Thread(target=_load, name="warm-embedder", daemon=True)
    thread.start()
    return thread


def embed_local(texts: Sequence[str]) -> list[list[float]]:
    """The texts' vectors by the embedded embedder, in order. Blocks: 0.3 ms a sentence, 6 ms a page.

    Raises EmbeddingError for a text without a single token.
    """
    model = _load()
    vectors: list[list[float]] = []
    for start in range(0, len(texts), _BATCH):
        # Words that carry nothing pull the mean towards every other sentence: without them recall@5 rises
        # from 0.74 to 0.80 (benchmarks.recall_quality). Lone surrogates are refused by the tokenizer.
        batch = [
            _telling(text[:MAX_CHARACTERS].encode("utf-8", "replace").decode())
            for text in texts[start : start + _BATCH]
        ]
        vectors += [fit(vector) for vector in model.embed(batch)]
    return vectors


def fit(vector: Sequence[float]) -> list[float]:
    """A model's vector as one of DIMENSIONS coordinates and length 1.

    Longer ones are cut, which is right for models trained so that their first coordinates carry most
    (Matryoshka embeddings: text-embedding-3, Gemini, Nomic). Raises EmbeddingError where it cannot be.
    """
    whole = np.asarray(vector, dtype=np.float32)
    if whole.ndim != 1 or len(whole) < DIMENSIONS:
        raise EmbeddingError(
            f"The embedding model gives {whole.size} dimensions, and at least {DIMENSIONS} are needed."
        )
    cut = whole[:DIMENSIONS]
    length = float(np.linalg.norm(cut))
    if not np.isfinite(length) or length == 0:
        raise EmbeddingError("The embedding model gave a vector without a direction.")
    return (cut / length).tolist()


def _telling(text: str) -> str:
    return " ".join(telling_words(text)) or text


def _load() -> Any:
    global _model
    with _loading:
        if _model is None:
            import wordllama

            # Weights and tokenizer are in the package; nothing is fetched.
            folder = Path(wordllama.__file__).parent
            _model = wordllama.WordLlama.load(cache_dir=folder, dim=DIMENSIONS, disable_download=True)
    return _model
