"""`python -m benchmarks.list_and_search`: the list and the search of one user, with few and with very many
conversations. See docs/benchmarks.md.

Two workspaces: in one the user has 100 conversations with 10,000 messages, in the other 10,000 with
1,000,000, beside colleagues with another 10%. What is timed is what a request of the API runs
(chat.listing, chat.search) in this process, in a random order over both, each on a warm connection.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import UUID

from benchmarks.children import ROOT, clean_environment, run_to_end

os.chdir(ROOT)
sys.path.insert(0, str(ROOT))

from konstruct.embedded.paths import Home  # noqa: E402
from konstruct.embedded.postgres import EmbeddedPostgres  # noqa: E402

SIZES = {"small": 100, "large": 10_000}
MESSAGES = 100
# A vocabulary of the shape of a language's: the n-th word is about as frequent as 1/n.
WORDS = 20_000
RUNS = 60

# Of a message: some 60 words by Zipf's law. `rare7` and its like are in one message of 25,000, `mid3` in one
# of 500; `w1` is in nearly all.
_TEXT = """
SELECT string_agg('w' || floor(exp(random() * ln(%(words)s)))::int, ' ')
    || CASE WHEN random() < 0.002 THEN ' mid' || floor(random() * 10)::int ELSE '' END
    || CASE WHEN random() < 0.0004 THEN ' rare' || floor(random() * 10)::int ELSE '' END
FROM generate_series(1, 40 + (random() * 40)::int + 0 * %(seed)s)
"""


def fill(database: Any, user_id: UUID, conversations: int) -> None:
    """Conversations of MESSAGES messages each, an hour apart, alternately the user's and an employee's."""
    # Another text for each message: PostgreSQL would remember one by what it depends on.
    text = _TEXT.replace("%(seed)s", "length(m.id::text || m.n)")
    database.execute(
        "INSERT INTO chat_conversation (id, user_id, title, channel, created_at, updated_at)"
        " SELECT gen_random_uuid(), %(user)s,"
        " 'About w' || floor(exp(random() * ln(%(words)s)))::int || ' w' || c, 'web',"
        " now() - c * interval '1 hour', now() - c * interval '1 hour'"
        " FROM generate_series(1, %(count)s) c",
        {"user": user_id, "words": WORDS, "count": conversations},
    )
    database.execute(
        "INSERT INTO chat_message (id, conversation_id, role, text, status, error_code, model, finish_reason,"
        " usage_estimated, feedback, feedback_comment, created_at, stop_requested, memories, recall_late)"
        " SELECT gen_random_uuid(), m.id, CASE WHEN m.n %% 2 = 0 THEN 'user' ELSE 'assistant' END,"
        f" t.said, 'complete', '', '', '', false, '', '', m.updated_at - m.n * interval '20 seconds', false,"
        " '{}', false FROM (SELECT c.id, c.updated_at, n FROM chat_conversation c,"
        f" generate_series(1, %(messages)s) n WHERE c.user_id = %(user)s) m, LATERAL ({text}) t(said)",
        {"user": user_id, "words": WORDS, "messages": MESSAGES},
    )


def build(conversations: int) -> UUID:
    """Fill the workspace of this size; out comes the user whose list it is."""
    from uuid import uuid4

    from django.db import connection

    user_id, colleague = uuid4(), uuid4()
    with connection.cursor() as database:
        # The triggers do their work row by row; the index is made at the end, as for any bulk load.
        database.execute("DROP INDEX words_of_a_workspace")
        fill(database, user_id, conversations)
        fill(database, colleague, max(1, conversations // 10))
        database.execute("SET maintenance_work_mem = '512MB'")
        database.execute(
            "CREATE INDEX words_of_a_workspace ON chat_searchentry USING gin (words)"
            " WHERE message_id IS NOT NULL"
        )
        database.execute("ANALYZE chat_searchentry")
        database.execute("ANALYZE chat_conversation")
        database.execute("ANALYZE chat_message")
    return user_id


def cases() -> dict[str, Callable[[UUID], object]]:
    from chat import listing, search

    def deep(user_id: UUID) -> object:
        """The page after the fiftieth conversation, which both have."""
        cursor = listing.page(user_id=user_id, size=50).next_cursor
        return listing.page(user_id=user_id, cursor=cursor)

    def finding(words: Callable[[], str]) -> Callable[[UUID], object]:
        return lambda user_id: search.find(user_id=user_id, words=words(), size=30)

    def second_page(user_id: UUID) -> object:
        cursor = search.find(user_id=user_id, words="w5", size=30).next_cursor
        return search.find(user_id=user_id, words="w5", size=30, cursor=cursor)

    pick = random.Random(2).randrange
    return {
        "list, first page": lambda user_id: listing.page(user_id=user_id),
        "list, two pages": deep,
        "search: a rare word": finding(lambda: f"rare{pick(10)} "),
        "search: a word of 1 in 500": finding(lambda: f"mid{pick(10)} "),
        "search: a common word": finding(lambda: f"w{5 + pick(40)}"),
        "search: a word in nearly all": finding(lambda: "w1 w2"),
        "search: two words": finding(lambda: f"w{20 + pick(100)} w{20 + pick(100)}"),
        "search: a beginning, typed": finding(lambda: f"w{10 + pick(90)}"),
        "search: a beginning of two letters": finding(lambda: "ra"),
        "search: what is nowhere": finding(lambda: "xylophone"),
        "search: a phrase": finding(lambda: f'"w{1 + pick(5)} w{1 + pick(5)}"'),
        "search, two pages": second_page,
    }


def measure(places: dict[str, tuple[Any, UUID]], runs: int) -> dict[str, dict[str, list[float]]]:
    from django_tenants.utils import tenant_context

    times: dict[str, dict[str, list[float]]] = {case: {size: [] for size in places} for case in cases()}
    todo = [(case, size) for case in times for size in places for _ in range(runs)]
    random.Random(1).shuffle(todo)
    asked = cases()
    for size, (workspace, user_id) in places.items():
        with tenant_context(workspace):
            for case in asked.values():
                case(user_id)
        print(f"Warm: {size}", file=sys.stderr)
    for case, size in todo:
        workspace, user_id = places[size]
        with tenant_context(workspace):
            begun = time.perf_counter()
            asked[case](user_id)
            times[case][size].append((time.perf_counter() - begun) * 1000)
    return times


def report(times: dict[str, dict[str, list[float]]]) -> None:
    print("| | 100 conversations: p50, p95 ms | 10,000: p50, p95 ms | p95, times |")
    print("|---|---|---|---|")
    for case, sizes in times.items():
        cells, ends = [], []
        for figures in sizes.values():
            end = quantiles(figures, n=20)[-1]
            ends.append(end)
            cells.append(f"{median(figures):.1f}, {end:.1f}")
        print(f"| {case} | {' | '.join(cells)} | {ends[1] / ends[0]:.1f} |")


def explain(workspace: Any, user_id: UUID) -> None:
    """How PostgreSQL goes about the searches of the large one."""
    from django.db import connection, transaction
    from django_tenants.utils import tenant_context

    from chat import search

    with tenant_context(workspace), transaction.atomic(), connection.cursor() as database:
        for words in ("rare3 ", "mid3 ", "w7 ", "ra", '"w1 w2"'):
            query = search._query(database, words)
            given = {"user": user_id, "query": query, "limit": search.POOL, "mark": f"'said:{user_id}'"}
            given |= {"pool": "infinity", "pool_id": UUID(int=0), "probed": search.PROBED}
            database.execute(search._PROBE, given)
            (found,) = database.fetchone()
            pool = search._POOL_BY_TIME if found >= search.FREQUENT else search._POOL_BY_WORDS
            database.execute(search._BEGIN, ["0"])
            database.execute("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY) " + pool, given)
            print(f"\n-- {words!r}: {query}")
            print("\n".join(row[0] for row in database.fetchall()))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=RUNS)
    options.add_argument("--explain", action="store_true")
    options.add_argument("--json", type=Path)
    options.add_argument("--large", type=int, default=SIZES["large"], help="conversations of the large one")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="konstruct-benchmarks-"))
    try:
        with EmbeddedPostgres(Home(folder), durable=False):
            environment = clean_environment(folder)
            run_to_end(["manage.py", "prepare", "--no-demo"], environment)
            os.environ.clear()
            os.environ.update(environment)
            os.environ["DJANGO_SETTINGS_MODULE"] = "konstruct.settings"
            _run(chosen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(chosen: argparse.Namespace) -> None:
    import django

    django.setup()
    from django.db import connection
    from django_tenants.utils import tenant_context

    from konstruct.tenancy.workspaces import create_workspace, reference

    places = {}
    for size, number in {**SIZES, "large": chosen.large}.items():
        workspace = reference(create_workspace(name=size, slug=size))
        begun = time.perf_counter()
        with tenant_context(workspace):
            places[size] = (workspace, build(number))
            with connection.cursor() as database:
                database.execute(
                    "SELECT pg_total_relation_size('chat_searchentry'),"
                    " pg_relation_size('words_of_a_workspace')"
                )
                table, index = database.fetchone()
        print(
            f"{size}: {number:,} conversations in {time.perf_counter() - begun:.0f} s; entries"
            f" {table / 2**20:,.0f} MiB, of it the word index {index / 2**20:,.0f}",
            file=sys.stderr,
        )
    times = measure(places, chosen.runs)
    report(times)
    if chosen.json:
        chosen.json.write_text(json.dumps(times))
    if chosen.explain:
        explain(*places["large"])


if __name__ == "__main__":
    main()
