"""Which of the memories that were found are worth their place in a prompt. Pure.

Figures here are chosen by `benchmarks.recall_quality`; docs/benchmarks.md has what they give.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from msgspec import Struct

from memory.models import DIMENSIONS, Kind
from memory.sameness import say_the_same
from memory.values import Recalled

# What a full match of the question's words adds to the cosine, which is at most 1.
WORDS_WEIGHT = 0.5
# The part of the question's words (by their rarity) that a memory found by words alone must hold.
LEAST_COVERAGE = 0.3
# How much of a score age can take away, and the age in days that takes away half of that.
RECENCY_SHARE = 0.1
HALF_LIFE_DAYS = 90.0
# How much a memory loses by its likeness to one that is chosen already (maximal marginal relevance,
# Carbonell and Goldstein 1998); and how alike a fact and the exchange it comes from are taken to be.
SAMENESS_COST = 0.5
SAME_MESSAGE = 0.9
# From which likeness on two memories may be one, if their words agree too (`memory.sameness`).
REPETITION = 0.9
# Characters; the rest of a long exchange is left out.
MAX_RECALLED = 1500
# UTF-8 bytes, as for every prompt of this project (`agents.tokens`).
BYTES_A_TOKEN = 4


class Candidate(Struct, frozen=True):
    """A memory found for a question, and near enough to it or sharing enough of its words.

    similarity: cosine, None without a vector. coverage: the part of the question's words it holds, 0 to 1.
    point: its vector as PostgreSQL sends a halfvec, or None.
    """

    id: UUID
    text: str
    kind: str
    confirmed_at: datetime
    conversation_id: UUID | None
    message_id: UUID | None
    shared: bool
    similarity: float | None
    coverage: float
    point: bytes | None


def choose(
    candidates: Sequence[Candidate],
    *,
    limit: int,
    budget_tokens: int,
    now: datetime,
) -> list[Recalled]:
    """The best of the candidates, best first: relevant, recent, unlike each other, within the budget."""
    scores = [_score(candidate, now) for candidate in candidates]
    points = _points(candidates)
    chosen: list[Recalled] = []
    # How alike each one is to what was chosen so far, at most.
    nearest = [0.0] * len(candidates)
    left = set(range(len(candidates)))
    # Of equals, a fact before the exchange it comes from; then as they were found.
    order = [(candidate.kind == Kind.FACT, -place) for place, candidate in enumerate(candidates)]
    while left and len(chosen) < limit:
        best = max(left, key=lambda i: (scores[i] * (1 - SAMENESS_COST * nearest[i]), order[i]))
        left.discard(best)
        if nearest[best] >= REPETITION and any(
            say_the_same(candidates[best].text, each.text) for each in chosen
        ):
            continue
        text = shortened(candidates[best].text)
        cost = tokens(text)
        if cost > budget_tokens:
            continue
        budget_tokens -= cost
        chosen.append(_recalled(candidates[best], text, scores[best]))
        alike = _likeness(candidates, points, to=best)
        for i in left:
            nearest[i] = max(nearest[i], alike[i])
    return chosen


def tokens(text: str) -> int:
    """Tokens of a text, about."""
    return -(-len(text.encode()) // BYTES_A_TOKEN)


def shortened(text: str) -> str:
    """At most MAX_RECALLED characters of it, cut between words."""
    if len(text) <= MAX_RECALLED:
        return text
    cut = text[:MAX_RECALLED]
    return f"{cut.rsplit(maxsplit=1)[0] if ' ' in cut else cut} …"


def _score(candidate: Candidate, now: datetime) -> float:
    relevance = max(candidate.similarity or 0.0, 0.0) + WORDS_WEIGHT * candidate.coverage
    days = max((now - candidate.confirmed_at).total_seconds(), 0.0) / 86400
    return relevance * (1 - RECENCY_SHARE * (1 - math.exp2(-days / HALF_LIFE_DAYS)))


def _points(candidates: Sequence[Candidate]) -> np.ndarray[Any, Any]:
    """Their vectors, a row each; zeros where there is none."""
    points = np.zeros((len(candidates), DIMENSIONS), dtype=np.float32)
    for place, candidate in enumerate(candidates):
        if candidate.point is not None:
            # pgvector's halfvec_send: two numbers of 16 bits (dimensions, unused), then big-endian halves.
            points[place] = np.frombuffer(candidate.point, dtype=">f2", offset=4)
    return points


def _likeness(candidates: Sequence[Candidate], points: np.ndarray[Any, Any], to: int) -> list[float]:
    """How alike each one is to the one at `to`, 0 to 1."""
    # One row at a time: for all at once the linear algebra library starts threads, which spin.
    alike: list[float] = np.clip(points @ points[to], 0.0, 1.0).tolist()
    message_id = candidates[to].message_id
    if message_id is not None:
        for place, candidate in enumerate(candidates):
            if candidate.message_id == message_id:
                alike[place] = max(alike[place], SAME_MESSAGE)
    return alike


def _recalled(candidate: Candidate, text: str, score: float) -> Recalled:
    return Recalled(
        id=candidate.id,
        text=text,
        kind=candidate.kind,
        said_at=candidate.confirmed_at,
        conversation_id=candidate.conversation_id,
        score=score,
        shared=candidate.shared,
    )
