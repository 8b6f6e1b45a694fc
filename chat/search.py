"""Search in a user's conversations: titles, then messages, by PostgreSQL's full text.

Synchronous and keyword-only; runs inside a workspace. What is searched is SearchEntry, which triggers keep
(migration `search_and_list_triggers`).

Words are found as they are written and by their English and Spanish stems; all of them have to be there.
"Quoted words" are a phrase, `or` and `-without` work as on the web (websearch_to_tsquery); the last word
is taken as a beginning, since it may still be being typed.

Conversations whose title matches come first, the one with the latest message first. After them those
with matching messages: the newest POOL matches are ranked against each other, a better match being worth
some days of age, then the next POOL, and so on.

So that a search costs about the same however many messages there are, a pool is read in one of two ways:
a word that is in many messages is looked for from the newest message on, and soon enough found; any other
through the index, which gives all that has it, and that is not much. PostgreSQL guesses too badly how
frequent a word is to choose between them; a look at the newest messages tells.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from msgspec import Struct
from psycopg.errors import QueryCanceled

from chat.conversations import info_of, storable
from chat.models import Conversation
from chat.paging import PAGE_SIZE, InvalidCursor, Page, bounded
from chat.protocol import ConversationInfo

MAX_WORDS = 200
# Matches that are ranked against each other.
POOL = 300
# Of so many of the newest messages, this many have to match for a word to count as frequent. With a million
# messages either way costs about the same there: 75,000 rows read in order, or 4,000 fetched from all over.
PROBED, FREQUENT = 2000, 8
# Pools looked through for one page, where the matches of each are in few conversations.
POOLS_A_PAGE = 4
HITS = 2
SECONDS = 5
# ts_rank gives a message of some length about 0.02 for a word said once and 0.1 for several said often.
DAYS_A_RANK = 300.0
# A shorter beginning is in too many words to mean one.
SHORTEST_BEGINNING = 2


class SearchTooLong(Exception):
    """The database needed more than SECONDS."""

    sentence = "This search takes too long. Please try other or more words."


class Fragment(Struct, frozen=True):
    """A piece of text; `hit`: it is what was searched for."""

    text: str
    hit: bool


class Hit(Struct, frozen=True):
    """A message that matches, with the part of it around the match."""

    message_id: UUID
    role: str
    said_at: datetime
    snippet: tuple[Fragment, ...]


class Found(Struct, frozen=True):
    """A conversation with its title in fragments and its best hits; none where only the title matches."""

    conversation: ConversationInfo
    title: tuple[Fragment, ...]
    hits: tuple[Hit, ...]


def find(*, user_id: UUID, words: str, cursor: str | None = None, size: int = PAGE_SIZE) -> Page[Found]:
    """The user's conversations, archived ones too, in which all the words are, a page of them.

    Raises InvalidCursor, SearchTooLong.
    """
    place = _read(cursor) if cursor else _Place()
    size = bounded(size)
    try:
        with transaction.atomic(), connection.cursor() as database:
            database.execute(_BEGIN, [str(round(SECONDS * 1000))])
            query = _query(database, words)
            page: Page[Found] = Page((), None)
            if query:
                page = _Search(database, user_id, query).page(place, size)
            database.execute(_END)
            return page
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise SearchTooLong(words) from error
        raise


# For this transaction: a deadline; and no reading through all that everybody ever said, which the planner
# takes to for words it has not heard of.
_BEGIN = "SELECT set_config('statement_timeout', %s, true), set_config('enable_seqscan', 'off', true)"
_END = "SELECT set_config('statement_timeout', '0', true), set_config('enable_seqscan', 'on', true)"

# --- the words -------------------------------------------------------------------------------------

_WHOLE = "websearch_to_tsquery('{0}', %(whole)s)"
_BEGINNING = "(websearch_to_tsquery('{0}', %(head)s) && to_tsquery('simple', %(beginning)s))"
_LANGUAGES = ("simple", "english", "spanish")


def _query(database: Any, words: str) -> str:
    """The words as a tsquery in text form; "" where there is nothing to search for in them."""
    words = " ".join(storable(words).split())[:MAX_WORDS]
    parts = [_WHOLE.format(language) for language in _LANGUAGES]
    given = {"whole": words}
    head, _, last = words.rpartition(" ")
    is_typed = re.fullmatch(r"\w[\w'’.@+-]*", last) and words.count('"') % 2 == 0
    if is_typed and len(last) >= SHORTEST_BEGINNING and not re.search(r"(^|\s)or$", head, re.IGNORECASE):
        parts += [_BEGINNING.format(language) for language in _LANGUAGES]
        given |= {"head": head, "beginning": "'" + last.replace("'", "''") + "':*"}
    database.execute(f"SELECT {', '.join(f'({part})::text' for part in parts)}", given)
    # Each once: most words are the same in all languages.
    different = [part for part in dict.fromkeys(database.fetchone()) if part]
    return " | ".join(f"( {part} )" for part in different)


# --- places in the results -------------------------------------------------------------------------

_NOBODY = UUID(int=0)


class _Place(Struct, frozen=True, array_like=True):
    """Where a page begins: among the titles below (`time`, `id`), where these are given; or, with a `pool`,
    among the messages older than (`pool`, `pool_id`), below (`score`, `id`) of that pool.

    began: when the first page was asked for; what was said since is not looked at.
    """

    time: datetime | None = None
    id: UUID = _NOBODY
    pool: datetime | None = None
    pool_id: UUID = _NOBODY
    score: float | None = None
    began: datetime | None = None


def _written(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read(cursor: str) -> _Place:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Place)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(cursor) from error
    if any(time is not None and time.utcoffset() is None for time in (place.time, place.pool, place.began)):
        raise InvalidCursor(cursor)
    return place


# --- the search ------------------------------------------------------------------------------------

# The mark says whose the words are, so no condition on `user_id` may tempt the planner to another index.
_TITLES = """
WITH found AS MATERIALIZED (
    SELECT conversation_id FROM chat_searchentry
    WHERE message_id IS NULL AND words @@ (%(mark)s::tsquery && %(query)s::tsquery)
)
SELECT c.id, c.updated_at FROM found JOIN chat_conversation c ON c.id = found.conversation_id
WHERE c.deleted_at IS NULL
  AND (%(time)s::timestamptz IS NULL OR (c.updated_at, c.id) < (%(time)s, %(id)s))
ORDER BY c.updated_at DESC, c.id DESC LIMIT %(limit)s
"""

_NEWEST_FIRST = """
SELECT conversation_id, message_id, said_at, words FROM chat_searchentry
WHERE message_id IS NOT NULL AND user_id = %(user)s AND (said_at, message_id) < (%(pool)s, %(pool_id)s)
ORDER BY said_at DESC, message_id DESC
"""
_PROBE = f"""
SELECT count(*) FROM ({_NEWEST_FIRST} LIMIT %(probed)s) newest WHERE words @@ %(query)s::tsquery
"""
# OFFSET 0 keeps the condition out of the subquery, which is read only as far as is needed.
_POOL_BY_TIME = f"""
SELECT conversation_id, message_id, said_at, ts_rank(words, %(query)s::tsquery, 1)
FROM ({_NEWEST_FIRST} OFFSET 0) newest WHERE words @@ %(query)s::tsquery
ORDER BY said_at DESC, message_id DESC LIMIT %(limit)s
"""
_POOL_BY_WORDS = """
WITH found AS MATERIALIZED (
    SELECT conversation_id, message_id, said_at FROM chat_searchentry
    WHERE message_id IS NOT NULL AND words @@ (%(mark)s::tsquery && %(query)s::tsquery)
), pool AS MATERIALIZED (
    SELECT conversation_id, message_id, said_at FROM found
    WHERE (said_at, message_id) < (%(pool)s, %(pool_id)s)
    ORDER BY said_at DESC, message_id DESC LIMIT %(limit)s
)
SELECT p.conversation_id, p.message_id, p.said_at, ts_rank(e.words, %(query)s::tsquery, 1)
FROM pool p JOIN chat_searchentry e ON e.message_id = p.message_id
ORDER BY p.said_at DESC, p.message_id DESC
"""

# Of these conversations, those that are given already: for their title, or for a newer message.
_GIVEN = """
SELECT id FROM unnest(%(ids)s::uuid[]) AS c(id)
WHERE EXISTS (SELECT FROM (
    SELECT words FROM chat_searchentry WHERE conversation_id = c.id AND message_id IS NULL OFFSET 0
) title WHERE words @@ %(query)s::tsquery)
OR (%(again)s AND EXISTS (SELECT FROM (
    SELECT words FROM chat_searchentry WHERE conversation_id = c.id AND message_id IS NOT NULL
      AND said_at <= %(began)s AND said_at >= %(pool)s AND (said_at, message_id) >= (%(pool)s, %(pool_id)s)
    OFFSET 0
) newer WHERE words @@ %(query)s::tsquery))
"""

# U+E000 and U+E001 are nobody's characters; where a text has them nevertheless, they are taken out.
_OPEN, _CLOSE = "\ue000", "\ue001"
# OFFSET 0 keeps PostgreSQL from writing each of these expressions out wherever it is named.
_SNIPPETS = f"""
SELECT m.id, m.role, m.created_at, left(m.text, 12), right(m.text, 12),
       CASE WHEN english LIKE %(marked)s THEN english
            WHEN spanish LIKE %(marked)s THEN spanish ELSE simple END
FROM chat_message m,
     LATERAL (SELECT translate(left(m.text, 20000), '{_OPEN}{_CLOSE}', '') AS said OFFSET 0) s,
     LATERAL (SELECT ts_headline('english', said, %(query)s::tsquery, %(options)s) AS english OFFSET 0) e,
     LATERAL (SELECT CASE WHEN english LIKE %(marked)s THEN ''
                     ELSE ts_headline('spanish', said, %(query)s::tsquery, %(options)s) END AS spanish
              OFFSET 0) f,
     LATERAL (SELECT CASE WHEN english LIKE %(marked)s OR spanish LIKE %(marked)s THEN ''
                     ELSE ts_headline('simple', said, %(query)s::tsquery, %(options)s) END AS simple
              OFFSET 0) g
WHERE m.id = ANY(%(ids)s)
"""
_PART = f"StartSel={_OPEN}, StopSel={_CLOSE}, MaxFragments=1, MinWords=10, MaxWords=26, ShortWord=0"

_TITLE_MARKS = """
SELECT c.id, COALESCE(
    NULLIF(ts_headline('english', c.title, %(query)s::tsquery, %(options)s), c.title),
    NULLIF(ts_headline('spanish', c.title, %(query)s::tsquery, %(options)s), c.title),
    ts_headline('simple', c.title, %(query)s::tsquery, %(options)s))
FROM chat_conversation c WHERE c.id = ANY(%(ids)s)
"""
_WHOLE_TITLE = f"StartSel={_OPEN}, StopSel={_CLOSE}, HighlightAll=true"


class _Match(Struct, frozen=True):
    """A conversation with the ids of its best matching messages."""

    score: float
    conversation_id: UUID
    message_ids: tuple[UUID, ...]


class _Search:
    def __init__(self, database: Any, user_id: UUID, query: str) -> None:
        self._database = database
        self._user_id = user_id
        self._query = query
        # Whether the words are in many messages, once that is known.
        self._is_frequent: bool | None = None

    def page(self, place: _Place, size: int) -> Page[Found]:
        matches: list[_Match] = []
        at: _Place | None = place
        if place.pool is None:
            matches, at = self._titles(place, size)
        pools = 0
        while at is not None and len(matches) < size and pools < POOLS_A_PAGE:
            found, at = self._messages(at, size - len(matches))
            matches += found
            pools += 1
        return Page(self._shown(matches), _written(at) if at else None)

    def _rows(self, sql: str, **given: Any) -> list[tuple[Any, ...]]:
        self._database.execute(sql, {"user": self._user_id, "query": self._query, **given})
        return list(self._database.fetchall())

    def _mark(self, kind: str) -> str:
        """As the triggers put it among the words, as a tsquery."""
        return f"'{kind}:{self._user_id}'"

    def _titles(self, place: _Place, size: int) -> tuple[list[_Match], _Place]:
        """Conversations whose title matches; where the search goes on."""
        rows = self._rows(_TITLES, mark=self._mark("title"), time=place.time, id=place.id, limit=size + 1)
        matches = [_Match(0.0, row[0], ()) for row in rows[:size]]
        if len(rows) > size:
            return matches, _Place(time=rows[size - 1][1], id=rows[size - 1][0])
        # What is said from now on shifts nothing.
        now = timezone.now()
        return matches, _Place(pool=now, pool_id=_NOBODY, began=now)

    def _messages(self, place: _Place, size: int) -> tuple[list[_Match], _Place | None]:
        """Conversations of one pool; where the search goes on, None if nowhere."""
        assert place.pool is not None
        bounds = {"pool": place.pool, "pool_id": place.pool_id}
        if self._is_frequent is None:
            ((found,),) = self._rows(_PROBE, probed=PROBED, **bounds)
            self._is_frequent = found >= FREQUENT
        pool = _POOL_BY_TIME if self._is_frequent else _POOL_BY_WORDS
        rows = self._rows(pool, mark=self._mark("said"), limit=POOL, **bounds)
        best: dict[UUID, list[tuple[float, UUID]]] = {}
        for conversation_id, message_id, said_at, rank in rows:
            score = said_at.timestamp() / 86_400 + DAYS_A_RANK * rank
            best.setdefault(conversation_id, []).append((score, message_id))
        # Above the first pool there is nothing but what was said since.
        again = bool(place.pool_id.int)
        given = {
            row[0] for row in self._rows(_GIVEN, ids=list(best), again=again, began=place.began, **bounds)
        }
        present = set(Conversation.objects.filter(id__in=best.keys() - given).values_list("id", flat=True))
        ranked = []
        for conversation_id in present:
            hits = sorted(best[conversation_id], reverse=True)
            ranked.append(_Match(hits[0][0], conversation_id, tuple(one for _, one in hits[:HITS])))
        ranked.sort(key=lambda match: (match.score, match.conversation_id), reverse=True)
        if place.score is not None:
            last = (place.score, place.id)
            ranked = [match for match in ranked if (match.score, match.conversation_id) < last]
        if len(ranked) > size:
            last_given = ranked[size - 1]
            here = msgspec.structs.replace(place, score=last_given.score, id=last_given.conversation_id)
            return ranked[:size], here
        if len(rows) < POOL:
            return ranked, None
        _, message_id, said_at, _ = rows[-1]
        return ranked, _Place(pool=said_at, pool_id=message_id, began=place.began)

    def _shown(self, matches: list[_Match]) -> tuple[Found, ...]:
        conversations = Conversation.objects.in_bulk([match.conversation_id for match in matches])
        titles = dict(self._rows(_TITLE_MARKS, ids=list(conversations), options=_WHOLE_TITLE))
        wanted = [message_id for match in matches for message_id in match.message_ids]
        hits: dict[UUID, Hit] = {}
        for message_id, role, said_at, begin, end, part in self._rows(
            _SNIPPETS, ids=wanted, options=_PART, marked=f"%{_OPEN}%"
        ):
            hits[message_id] = Hit(message_id, role, said_at, tuple(_snippet(part, begin, end)))
        return tuple(
            Found(
                conversation=info_of(conversations[match.conversation_id]),
                title=tuple(_fragments(titles[match.conversation_id])),
                hits=tuple(hits[one] for one in match.message_ids if one in hits),
            )
            for match in matches
            if match.conversation_id in conversations
        )


def _fragments(marked: str) -> Iterable[Fragment]:
    """The headline in pieces: every second one of what the marks separate is a hit."""
    pieces = re.split(f"[{_OPEN}{_CLOSE}]", marked)
    return (Fragment(text, bool(number % 2)) for number, text in enumerate(pieces) if text)


_ENDS = " \t\n.!?…*`"
# Markdown's signs say nothing in a line of plain text.
_SIGNS = re.compile(r"[*`#|~]+|\s+")


def _snippet(part: str, begin: str, end: str) -> Iterable[Fragment]:
    plain = part.replace(_OPEN, "").replace(_CLOSE, "")
    if not plain.lstrip().startswith(begin.lstrip()[:6]):
        yield Fragment("… ", False)
    yield from _fragments(_SIGNS.sub(" ", part).strip())
    # A headline leaves out what ends a sentence.
    if not plain.rstrip(_ENDS).endswith(end.rstrip(_ENDS)[-6:]):
        yield Fragment(" …", False)
