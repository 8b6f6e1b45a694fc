"""Recalling for a turn, beside everything else it does: what comes too late is left out, and counted."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection
from django.utils import timezone
from msgspec import Struct

from agents.employees import Employee
from agents.errors import AgentError
from chat import embedding
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from memory.errors import EmbedderChanged, EmbeddingError
from memory.models import Kind
from memory.recall import recall
from memory.sameness import telling_words
from memory.values import Recalled, Vector

logger = logging.getLogger(__name__)

# How long an answer waits for what is recalled, from when its turn has begun (seconds).
RECALL_SECONDS = 0.25
# After which the database gives up on one: nobody waits for it any more, and it holds a thread of the door.
STATEMENT_SECONDS = 1.0
EMBEDDING_SECONDS = 2.0
# At most so many memories, of so many tokens together.
LIMIT = 8
BUDGET = 1_500
# Of what was said before, in the direction of the query, where the message itself has 1: by how many telling
# words that has, none, one or more. "And on Fridays?" says little by itself.
WEIGHTS_OF_BEFORE = (1.0, 0.6, 0.3)
LOG_EVERY = 60.0

EXPECTED = (DatabaseError, EmbeddingError, EmbedderChanged, AgentError, OSError, TimeoutError)


class Question(Struct, frozen=True):
    """What is to be recalled for. before: the turn before the message; exclude: messages that the prompt
    holds anyway."""

    workspace: WorkspaceRef
    user_id: UUID
    conversation_id: UUID
    text: str
    before: str = ""
    exclude: frozenset[UUID] = frozenset()


class Outcome(Struct, frozen=True):
    """What was recalled, best first; how many ms that took; or that it was late (or failed)."""

    memories: tuple[Recalled, ...]
    ms: int
    late: bool


class Recall:
    """One under way."""

    def __init__(self, question: Question, agent_id: UUID, task: asyncio.Task[list[Recalled]]) -> None:
        self.question = question
        self.agent_id = agent_id
        self.task = task
        self.started = asyncio.get_running_loop().time()

    def cancel(self) -> None:
        self.task.cancel()


class Recalls:
    """Those of one process. `at_once`: how many may hold a thread of the door, so that others find one
    whatever becomes of these."""

    def __init__(self, *, at_once: int) -> None:
        self.counted: Counter[str] = Counter()
        self._slots = asyncio.Semaphore(at_once)
        self._queries: set[asyncio.Task[list[Recalled]]] = set()
        self._told: Counter[str] = Counter()
        self._told_at = -math.inf

    def start(self, question: Question, agent_id: UUID, *, sees_shared: bool = True) -> Recall:
        """Begin to recall. That the employee may see what is shared is a guess: see `outcome`."""
        work = self._recall(question, agent_id, sees_shared)
        task = asyncio.get_running_loop().create_task(work, name="recall")
        task.add_done_callback(_look_at)
        return Recall(question, agent_id, task)

    async def outcome(self, first: Recall, question: Question, employee: Employee) -> Outcome:
        """What `first` found, waiting up to RECALL_SECONDS; asked again where the `question` turned out to
        be another in a way that matters. The turn has begun: all is known."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RECALL_SECONDS
        sees_shared = employee.sees_shared
        found = await self._wait(first, deadline)
        if found is not None and _asked_wrongly(first.question, question, found, sees_shared):
            second = self.start(question, employee.id, sees_shared=sees_shared)
            found = await self._wait(second, deadline)
        ms = round((loop.time() - first.started) * 1000)
        self.counted["late" if found is None else "in time"] += 1
        return Outcome(tuple(found or ()), ms, late=found is None)

    async def close(self) -> None:
        """The queries under way end by themselves, soon (STATEMENT_SECONDS)."""
        if self._queries:
            await asyncio.wait(self._queries, timeout=2 * STATEMENT_SECONDS)

    # --- inside -------------------------------------------------------------------------------------

    async def _wait(self, recall: Recall, deadline: float) -> list[Recalled] | None:
        """What it found; None where it is late or has failed."""
        left = deadline - asyncio.get_running_loop().time()
        await asyncio.wait({recall.task}, timeout=max(left, 0.0))
        if not recall.task.done():
            recall.cancel()
            self._missed("TooLate")
            return None
        if recall.task.cancelled():
            return None
        error = recall.task.exception()
        if error is None:
            return recall.task.result()
        if not isinstance(error, EXPECTED):
            logger.error("A recall failed", exc_info=error)
        self._missed(type(error).__name__)
        return None

    def _missed(self, why: str) -> None:
        """Say so once a minute at most, with how often it happened."""
        self._told[why] += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= LOG_EVERY:
            self._told_at = now
            logger.warning("Answers went without what is remembered: %s", dict(self._told))
            self._told.clear()

    async def _recall(self, question: Question, agent_id: UUID, sees_shared: bool) -> list[Recalled]:
        workspace = question.workspace
        embedder = await embedding.embedder_of(workspace)
        vector = await _direction(question, embedder)
        try:
            return await self._query(question, agent_id, sees_shared, embedder, vector)
        except EmbedderChanged as changed:
            embedding.note_change(workspace, changed)
            vector = await _direction(question, changed.embedder)
            return await self._query(question, agent_id, sees_shared, changed.embedder, vector)

    async def _query(
        self,
        question: Question,
        agent_id: UUID,
        sees_shared: bool,
        embedder: str,
        vector: Vector,
    ) -> list[Recalled]:
        """In a thread of the door, which it holds to its end, also where nobody waits for it any more."""
        await self._slots.acquire()
        query = asyncio.get_running_loop().create_task(
            in_workspace(
                question.workspace,
                _bounded_recall,
                question=question,
                agent_id=agent_id,
                sees_shared=sees_shared,
                embedder=embedder,
                vector=vector,
            ),
            name="recall-query",
        )
        self._queries.add(query)
        query.add_done_callback(self._queried)
        return await asyncio.shield(query)

    def _queried(self, query: asyncio.Task[list[Recalled]]) -> None:
        self._queries.discard(query)
        self._slots.release()
        _look_at(query)


def _asked_wrongly(asked: Question, question: Question, found: Sequence[Recalled], sees_shared: bool) -> bool:
    """Whether what was found should not have been: not for this employee, or said in the window."""
    if not sees_shared and any(one.shared for one in found):
        return True
    here = [one for one in found if one.conversation_id == question.conversation_id]
    return bool(question.exclude - asked.exclude) and any(one.kind == Kind.EXCHANGE for one in here)


async def _direction(question: Question, embedder: str) -> list[float]:
    """The message as a point, drawn a little towards what was said before it."""
    texts = [question.text, question.before] if question.before else [question.text]
    message, *before = await embedding.embed(texts, name=embedder, timeout=EMBEDDING_SECONDS)
    if not before:
        return list(message)
    weight = WEIGHTS_OF_BEFORE[min(len(telling_words(question.text)), len(WEIGHTS_OF_BEFORE) - 1)]
    mixed = [a + weight * b for a, b in zip(message, before[0], strict=True)]
    length = math.sqrt(sum(a * a for a in mixed))
    return [a / length for a in mixed] if length else list(message)


def _bounded_recall(
    *,
    question: Question,
    agent_id: UUID,
    sees_shared: bool,
    embedder: str,
    vector: Vector,
) -> list[Recalled]:
    with connection.execute_wrapper(_bounded):
        return recall(
            user_id=question.user_id,
            agent_id=agent_id,
            conversation_id=question.conversation_id,
            query=question.text,
            query_vector=vector,
            embedder=embedder,
            sees_shared=sees_shared,
            exclude_messages=tuple(question.exclude),
            limit=LIMIT,
            budget_tokens=BUDGET,
            now=timezone.now(),
        )


def _bounded(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """With the deadline in the same round trip: it lasts as long as the statements' implicit transaction."""
    milliseconds = round(STATEMENT_SECONDS * 1000)
    return execute(f"SET LOCAL statement_timeout = {milliseconds};{sql}", params, many, context)


def _look_at(task: asyncio.Task[list[Recalled]]) -> None:
    """Its failure is the matter of who waits for it, if anybody does."""
    if not task.cancelled():
        task.exception()
