"""From a question to the memories that bear on it: the user's own with this employee, and the workspace's
notes where the employee may see them. Synchronous, keyword-only; run inside a workspace.

Found by vector and by words, ranked by both (`memory.ranking`). One statement, one round trip, as long as
there are at most EXACT memories to look at: all of them are compared then, so nothing is missed, however
many others share the tables. Beyond that a second statement asks the indexes, which are approximate.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from konstruct.tenancy.isolation import current_schema
from memory.embedder import threshold
from memory.errors import EmbedderChanged
from memory.ranking import LEAST_COVERAGE, Candidate, choose
from memory.sameness import telling_words
from memory.values import Recalled, Vector

# Up to so many memories all are compared.
EXACT = 10_000
# Candidates by each way of finding; what is excluded comes on top.
_CANDIDATES = 40
# Words of the question that are looked for.
_MOST_WORDS = 24


def recall(
    *,
    user_id: UUID,
    agent_id: UUID,
    conversation_id: UUID | None,
    query: str,
    query_vector: Vector | None,
    embedder: str,
    sees_shared: bool,
    exclude_messages: Sequence[UUID] = (),
    limit: int,
    budget_tokens: int,
    now: datetime,
) -> list[Recalled]:
    """At most `limit` memories that bear on the query, best first, of `budget_tokens` together.

    query_vector: the query by `embedder`; None: by its words alone. exclude_messages: what comes from
    these messages is in the prompt already. Nothing where the user has switched memory off with this
    employee or in this conversation. Raises EmbedderChanged where the workspace's embedder is another.
    """
    current_schema()
    parameters = {
        "user": user_id,
        "agent": agent_id,
        "conversation": conversation_id,
        "embedder": embedder,
        "vector": _literal(query_vector),
        "words": _words(query),
        "scope": _scope(user_id, agent_id, sees_shared),
        "sees_shared": sees_shared,
        "excluded": list(exclude_messages),
        "threshold": threshold(embedder),
        "exact": EXACT,
        "candidates": _CANDIDATES + 2 * len(exclude_messages),
    }
    rows = _fetch(_EXACT, parameters)
    off, current, many = rows[0][:3]
    if current is not None and current != embedder:
        raise EmbedderChanged(current)
    if off:
        return []
    if many:
        rows = _fetch(_INDEXED, parameters)
    candidates = [Candidate(*row[3:]) for row in rows if row[3] is not None]
    return choose(candidates, limit=limit, budget_tokens=budget_tokens, now=now)


def _fetch(statements: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of the last statement; all go to the server together."""
    with connection.cursor() as cursor:
        cursor.execute(statements, parameters)
        while cursor.nextset():
            pass
        return cursor.fetchall()


def _literal(vector: Vector | None) -> str | None:
    """The vector as pgvector reads it; half precision has 4 digits."""
    return None if vector is None else "[" + ",".join([f"{each:.6g}" for each in vector]) + "]"


def _words(query: str) -> list[str]:
    words = [word for word in telling_words(query) if len(word) < 100]
    return list(dict.fromkeys(words))[:_MOST_WORDS]


def _scope(user_id: UUID, agent_id: UUID, sees_shared: bool) -> str:
    """The words that say whose a memory is (`memory.models.WORDS`), any of them."""
    owners = [f"'@{user_id}@{agent_id}'", f"'@{user_id}@'"]
    if sees_shared:
        owners += [f"'@@{agent_id}'", "'@@'"]
    return " | ".join(owners)


# Planning and compiling by LLVM would cost more than running. SET LOCAL lasts as long as the statements'
# own implicit transaction, or the one they are in.
_SETTINGS = "SET LOCAL jit = off;"
_OFF = """
EXISTS (
    SELECT FROM memory_memoryoff
    WHERE user_id = %(user)s AND (agent_id = %(agent)s OR conversation_id = %(conversation)s)
)
"""


def _of_mine(columns: str, condition: str) -> str:
    """The vectors to search; each branch is a range of the index "vectors_of_a_user"."""
    mine = f"SELECT {columns} FROM memory_memoryvector WHERE {condition} AND user_id = %(user)s"
    shared = (
        f"SELECT {columns} FROM memory_memoryvector WHERE {condition} AND %(sees_shared)s AND user_id IS NULL"
    )
    return " UNION ALL ".join(
        f"{whose} AND {which}"
        for whose in (mine, shared)
        for which in ("agent_id = %(agent)s", "agent_id IS NULL")
    )


_MINE = _of_mine("memory_id, embedding", "embedder = %(embedder)s")
# Without the embedder, so that the index alone tells. While a workspace moves, it is twice as many.
_COUNTED = _of_mine("user_id", "true")
_TERMS = """
SELECT word, plainto_tsquery('english', word) || plainto_tsquery('spanish', word) AS query
FROM unnest(%(words)s::text[]) word
"""
# Among fewer memories than these no word is common.
FEW = 100
# What is said by `words` is weighed by how few of the memories say it, as in BM25 (Robertson 1994). A word
# that no memory has counts as one that could have been found and was not.
_FOUND = f"""
hits AS (
    SELECT t.word, m.id
    FROM terms t CROSS JOIN LATERAL (
        SELECT id FROM memory_memory WHERE words @@ (%(scope)s::tsquery && t.query)
    ) m
    WHERE numnode(t.query) > 0
), weights AS (
    SELECT t.word,
        ln(1 + (greatest(s.size, count(h.id), {FEW}) - count(h.id) + 0.5) / (count(h.id) + 0.5))::float8
            AS weight
    FROM terms t CROSS JOIN size s LEFT JOIN hits h USING (word)
    WHERE numnode(t.query) > 0
    GROUP BY t.word, s.size
), worded AS (
    SELECT h.id, sum(w.weight) / (SELECT sum(weight) FROM weights) AS coverage
    FROM hits h JOIN weights w USING (word)
    GROUP BY h.id ORDER BY coverage DESC LIMIT %(candidates)s
), found AS (
    SELECT id FROM worded UNION SELECT memory_id FROM near
)
SELECT state.*, m.id, m.text, m.kind, m.confirmed_at, m.conversation_id, m.message_id, m.user_id IS NULL,
    1 - (v.embedding <=> %(vector)s::halfvec), coalesce(w.coverage, 0), halfvec_send(v.embedding)
FROM state LEFT JOIN (
    memory_memory m JOIN found USING (id)
    LEFT JOIN worded w USING (id)
    LEFT JOIN memory_memoryvector v ON v.memory_id = m.id AND v.embedder = %(embedder)s
) ON m.superseded_at IS NULL AND (m.message_id IS NULL OR m.message_id <> ALL(%(excluded)s::uuid[]))
    AND (1 - (v.embedding <=> %(vector)s::halfvec) >= %(threshold)s OR w.coverage >= {LEAST_COVERAGE})
"""
_EXACT = f"""
{_SETTINGS}
WITH size AS MATERIALIZED (
    SELECT count(*) AS size FROM ({_COUNTED} LIMIT %(exact)s + 1) counted
), state AS MATERIALIZED (
    SELECT {_OFF} AS off, (SELECT embedder FROM memory_memorypolicy WHERE id = 1) AS embedder,
        (SELECT size > %(exact)s FROM size) AS many
), near AS (
    SELECT memory_id FROM (
        SELECT memory_id, embedding <=> %(vector)s::halfvec AS distance FROM ({_MINE}) mine
        WHERE NOT (SELECT off OR many FROM state)
    ) looked_at
    WHERE distance IS NOT NULL ORDER BY distance LIMIT %(candidates)s
), terms AS MATERIALIZED (
    {_TERMS} WHERE NOT (SELECT off OR many FROM state)
), {_FOUND}
"""

# Beyond that. Words so common that their rows together would be more than COMMON are left out, by the
# statistics that PostgreSQL keeps for its planner: a word on every page tells nothing and costs most.
COMMON = 5000
_INDEXED = f"""
{_SETTINGS}
SET LOCAL hnsw.ef_search = 100;
SET LOCAL hnsw.iterative_scan = relaxed_order;
WITH size AS (
    SELECT greatest(reltuples, %(exact)s) AS size FROM pg_class WHERE oid = 'memory_memory'::regclass
), state AS (
    SELECT false AS off, NULL::text AS embedder, true AS many
), near AS (
    SELECT memory_id FROM memory_memoryvector
    WHERE embedder = %(embedder)s AND (
        user_id = %(user)s AND (agent_id = %(agent)s OR agent_id IS NULL)
        OR %(sees_shared)s AND user_id IS NULL AND (agent_id = %(agent)s OR agent_id IS NULL)
    )
    ORDER BY embedding <=> %(vector)s::halfvec LIMIT %(candidates)s
), common AS MATERIALIZED (
    SELECT lexeme, frequency
    FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) AS e (lexeme, frequency)
    WHERE schemaname = current_schema() AND tablename = 'memory_memory' AND attname = 'words'
), asked AS MATERIALIZED (
    SELECT word, query,
        unnest(tsvector_to_array(to_tsvector('english', word) || to_tsvector('spanish', word))) AS lexeme
    FROM ({_TERMS}) all_terms
), weighed AS MATERIALIZED (
    SELECT word, query, coalesce(sum(frequency), 0) AS frequency
    FROM asked LEFT JOIN common USING (lexeme) GROUP BY word, query
), terms AS MATERIALIZED (
    SELECT word, query FROM (
        SELECT word, query, sum(frequency) OVER (ORDER BY frequency, word) AS together FROM weighed
    ) rarest_first
    WHERE together * (SELECT size FROM size) <= {COMMON}
), {_FOUND}
"""
