"""How often the right memory is recalled: `python -m benchmarks.recall_quality`.

One person's 155 memories, 70 questions in English and Spanish (benchmarks/recall_data, written for this),
each labelled with the memories that answer it, and 20 messages that none of them bears on. Compared are
keyword search as PostgreSQL ranks it, our words alone, vectors alone, and both, as `memory.recall` does it.
The weights of `memory.ranking` were chosen on the questions with odd numbers and the 20 messages; those
with even numbers are the test.

Prints a Markdown table, and the same as JSON with --json FILE. There is no noise: the figures repeat.
"""

import argparse
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.recall_place import workspace

DATA = Path(__file__).parent / "recall_data"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LIMIT = 10


class Remembered(msgspec.Struct, frozen=True):
    id: int
    language: str
    kind: str
    text: str


class Question(msgspec.Struct, frozen=True):
    """`kind`: `words` if it shares telling words with what answers it, `meaning` if it does not, `across` if
    it is asked in the other language, `nothing` if no memory bears on it."""

    id: int
    language: str
    kind: str
    question: str
    relevant: tuple[int, ...]


Found = dict[int, list[int]]
Find = Callable[[str], Sequence[int]]

# Of the questions: which ones a column of the table is about.
GROUPS: dict[str, Callable[[Question], bool]] = {
    "all": lambda q: bool(q.relevant),
    "even": lambda q: bool(q.relevant) and q.id % 2 == 0,
    "odd": lambda q: bool(q.relevant) and q.id % 2 == 1,
    "English": lambda q: q.language == "en" and q.kind in ("words", "meaning"),
    "Spanish": lambda q: q.language == "es" and q.kind in ("words", "meaning"),
    "words": lambda q: q.kind == "words",
    "meaning": lambda q: q.kind == "meaning",
    "across": lambda q: q.kind == "across",
}


def read(name: str, kind: type[Any]) -> list[Any]:
    lines = (DATA / f"{name}.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=kind) for line in lines]


def figures(questions: Sequence[Question], found: Found) -> dict[str, float]:
    """recall@5: the part of what answers a question that is among the first five, averaged; MRR: one over
    the place of the first that does (0 beyond the tenth), averaged."""
    recalls, ranks = [], []
    for question in questions:
        answers = found[question.id]
        recalls.append(len(set(answers[:5]) & set(question.relevant)) / len(question.relevant))
        places = [place for place, each in enumerate(answers, 1) if each in question.relevant]
        ranks.append(1 / places[0] if places else 0.0)
    number = len(questions)
    return {"questions": number, "recall@5": sum(recalls) / number, "mrr": sum(ranks) / number}


def ways(memories: Sequence[Remembered]) -> dict[str, Find]:
    """Remember all of them, and return the ways to find them by."""
    from django.db import connection

    from memory import store
    from memory.embedder import LOCAL, embed_local
    from memory.models import Kind, Memory
    from memory.recall import recall
    from memory.rows import put_vector
    from memory.sameness import telling_words

    user, agent, store_policy = uuid.uuid4(), uuid.uuid4(), store.policy()
    numbers: dict[uuid.UUID, int] = {}
    for memory, vector in zip(memories, embed_local([m.text for m in memories]), strict=True):
        # All of one day: recency is not what is compared here.
        row = Memory.objects.create(
            # Among equals the database chooses by id: always the same.
            id=uuid.UUID(int=memory.id),
            user_id=user,
            agent_id=agent,
            kind=Kind(memory.kind),
            text=memory.text,
            said_at=NOW,
            confirmed_at=NOW,
        )
        put_vector(row, store_policy.embedder, vector)
        numbers[row.id] = memory.id

    def recalled(query: str, vector: list[float] | None) -> list[int]:
        found = recall(
            user_id=user,
            agent_id=agent,
            conversation_id=None,
            query=query,
            query_vector=vector,
            embedder=LOCAL,
            sees_shared=True,
            limit=LIMIT,
            budget_tokens=100_000,
            now=NOW + timedelta(days=1),
        )
        return [numbers[each.id] for each in found]

    def keywords(question: str) -> list[int]:
        with connection.cursor() as cursor:
            words = " ".join(telling_words(question))
            cursor.execute(_KEYWORDS, {"question": words, "limit": LIMIT})
            return [numbers[row[0]] for row in cursor.fetchall()]

    return {
        "keyword search (ts_rank)": keywords,
        "words alone": lambda question: recalled(question, None),
        "vector alone": lambda question: recalled("", embed_local([question])[0]),
        "hybrid (memory.recall)": lambda question: recalled(question, embed_local([question])[0]),
    }


# Any telling word of the question in the stems of either language, ranked by PostgreSQL's own rule.
_KEYWORDS = """
SELECT id FROM memory_memory, (
    SELECT replace((plainto_tsquery('english', %(question)s))::text, '&', '|')::tsquery
        || replace((plainto_tsquery('spanish', %(question)s))::text, '&', '|')::tsquery AS query
) asked
WHERE words @@ query ORDER BY ts_rank(words, query) DESC, id LIMIT %(limit)s
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    memories, questions = read("memories", Remembered), read("questions", Question)
    results: list[dict[str, Any]] = []
    with workspace():
        for name, find in ways(memories).items():
            found = {question.id: list(find(question.question)) for question in questions}
            for group, belongs in GROUPS.items():
                results.append(
                    {"way": name, "group": group} | figures([q for q in questions if belongs(q)], found)
                )
            beside = [len(found[question.id]) for question in questions if not question.relevant]
            results.append({"way": name, "group": "nothing", "recalled": sum(beside) / len(beside)})
    print(f"{len(memories)} memories, {sum(bool(q.relevant) for q in questions)} questions; recall@5 / MRR")
    print(f"| way | {' | '.join(GROUPS)} | recalled for nothing |\n|---|{'---|' * (len(GROUPS) + 1)}")
    for name in dict.fromkeys(result["way"] for result in results):
        *cells, nothing = [result for result in results if result["way"] == name]
        shown = [f"{cell['recall@5']:.2f} / {cell['mrr']:.2f}" for cell in cells]
        print(f"| {name} | {' | '.join(shown)} | {nothing['recalled']:.1f} |")
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


if __name__ == "__main__":
    main()
