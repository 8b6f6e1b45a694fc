"""What recall costs: `python -m benchmarks.recall_speed [--quick]`.

One user with 1,000, 10,000 and 100,000 memories, and one with 1,000 where the workspace has over 100,000 of
others. Texts are spliced from benchmarks/recall_data with invented names and numbers; the questions are its
questions. Times are of `memory.recall` in this process, warm, one after the other, over a Unix socket to an
embedded PostgreSQL; with `--explain` the plans too. Prints a Markdown table, and JSON with --json FILE.
"""

import argparse
import itertools
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from benchmarks.recall_place import workspace
from benchmarks.recall_quality import Question, Remembered, read

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ROUNDS = 300
BATCH = 2000
_SYLLABLES = ["ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "ka", "le"]


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds. `mine`: memories of the user who asks; `workspace`: all there are. `cpu`: of this process
    and of PostgreSQL's for this connection, a call: what is left of it on a machine without neighbours."""

    what: str
    mine: int
    workspace: int
    p50: float
    p99: float
    cpu: float


def texts(number: int, chance: random.Random) -> Iterator[str]:
    """Sentences that no two of are alike, with common words and rare ones."""
    sources = [memory.text.split() for memory in read("memories", Remembered)]
    for _ in range(number):
        one, other = chance.choice(sources), chance.choice(sources)
        name = "".join(chance.choices(_SYLLABLES, k=3)).title()
        words = [*one[: len(one) // 2], name, str(chance.randrange(100_000)), *other[len(other) // 2 :]]
        yield " ".join(words)


def fill(number: int, users: Sequence[tuple[UUID, UUID]], chance: random.Random) -> None:
    """So many memories, spread over these users and employees, copied in; the index of vectors anew."""
    from django.db import connection

    from memory.embedder import LOCAL, embed_local
    from memory.store import policy

    policy()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS nearest_memories")
        made = texts(number, chance)
        for start in range(0, number, BATCH):
            batch = list(itertools.islice(made, BATCH))
            rows = [(uuid.uuid4(), *users[(start + place) % len(users)]) for place in range(len(batch))]
            with cursor.copy(
                "COPY memory_memory (id, user_id, agent_id, kind, text, said_at, confirmed_at, times_said,"
                " created_at) FROM STDIN"
            ) as copy:
                for row, text in zip(rows, batch, strict=True):
                    said = NOW - timedelta(minutes=chance.randrange(500_000))
                    copy.write_row((*row, "exchange", text, said, said, 1, said))
            with cursor.copy(
                "COPY memory_memoryvector (memory_id, user_id, agent_id, embedder, embedding) FROM STDIN"
            ) as copy:
                for row, vector in zip(rows, embed_local(batch), strict=True):
                    copy.write_row((*row, LOCAL, str(vector)))
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(
            "CREATE INDEX nearest_memories ON memory_memoryvector USING hnsw (embedding halfvec_cosine_ops)"
        )
        cursor.execute("VACUUM ANALYZE memory_memory")
        cursor.execute("VACUUM ANALYZE memory_memoryvector")


def cpu_seconds() -> float:
    """User and system time of this process and of the backend of its connection (Linux)."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    # proc(5): fields 14 and 15, counted behind the command in parentheses.
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(run: Callable[[int], Any], rounds: int) -> tuple[float, float, float]:
    """Of run(0), run(1), ...: median and 99th percentile of what each took, and the mean CPU time, in
    milliseconds, after a few that do not count."""
    times: list[float] = []
    used = 0.0
    for number in range(-10, rounds):
        if number == 0:
            used = cpu_seconds()
        started = time.perf_counter()
        run(number % rounds)
        if number >= 0:
            times.append((time.perf_counter() - started) * 1000)
    used = cpu_seconds() - used
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)], used / rounds * 1000


def recalls(user: UUID, agent: UUID) -> Callable[[int], Any]:
    from memory.embedder import LOCAL, embed_local
    from memory.recall import recall

    asked = [question.question for question in read("questions", Question) if question.relevant]
    vectors = embed_local(asked)

    def run(number: int) -> Any:
        place = number % len(asked)
        return recall(
            user_id=user,
            agent_id=agent,
            conversation_id=None,
            query=asked[place],
            query_vector=vectors[place],
            embedder=LOCAL,
            sees_shared=True,
            limit=8,
            budget_tokens=1000,
            now=NOW,
        )

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no user with 100,000")
    parser.add_argument("--explain", action="store_true", help="print the plans to stderr")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    chance = random.Random(4)
    small, middle, large = ((uuid.uuid4(), uuid.uuid4()) for _ in range(3))
    others = [(uuid.uuid4(), uuid.uuid4()) for _ in range(100)]
    timings: list[Timing] = []
    with workspace():
        from memory.embedder import embed_local

        questions = [question.question for question in read("questions", Question)]
        figures = measure(lambda number: embed_local([questions[number % len(questions)]]), ROUNDS)
        timings.append(Timing("embedding a question", 0, 0, *figures))
        total = 0
        steps = [("one user", 1_000, [small], small), ("one user", 10_000, [middle], middle)]
        if not arguments.quick:
            steps.append(("one user", 100_000, [large], large))
        steps.append(("one of a hundred and more", 10_000, others, small))
        for what, number, users, asking in steps:
            print(f"{number:,} more memories ...", file=sys.stderr)
            fill(number, users, chance)
            total += number
            mine = 1_000 if asking is small else number
            timings.append(Timing(what, mine, total, *measure(recalls(*asking), ROUNDS)))
            if arguments.explain:
                explain(*asking)
        agreed = agreement(*large) if not arguments.quick else None
    print(f"Load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| recall | of the user | in the workspace | p50 ms | p99 ms | CPU ms |\n|---|---|---|---|---|---|")
    for t in timings:
        print(f"| {t.what} | {t.mine:,} | {t.workspace:,} | {t.p50:.2f} | {t.p99:.2f} | {t.cpu:.2f} |")
    if agreed is not None:
        print(f"\nBy the indexes {agreed:.1%} of the score is reached that comparing all 100,000 reaches.")
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(timings)))


def agreement(user: UUID, agent: UUID) -> float:
    """The scores of what the indexes recall over the scores of what comparing all does, over 60 questions.

    Not which ones: of many that are alike either may take others, and they are as good."""
    from memory import recall as module

    run, usual = recalls(user, agent), module.EXACT
    reached = possible = 0.0
    for number in range(60):
        reached += sum(each.score for each in run(number))
        module.EXACT = 10**9
        try:
            possible += sum(each.score for each in run(number))
        finally:
            module.EXACT = usual
    return reached / possible


def explain(user: UUID, agent: UUID) -> None:
    """The plans of one recall, with times, to stderr."""
    from memory import recall as module

    fetch = module._fetch

    def explained(statements: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        *settings, query = statements.split(";")
        plan = f"{';'.join(settings)}; EXPLAIN (ANALYZE, BUFFERS) {query}"
        print("\n".join(line for (line,) in fetch(plan, parameters)), file=sys.stderr)
        return fetch(statements, parameters)

    module._fetch = explained
    try:
        recalls(user, agent)(3)
    finally:
        module._fetch = fetch


if __name__ == "__main__":
    main()
