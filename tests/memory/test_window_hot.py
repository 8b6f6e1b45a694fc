"""Windows at hand, in the process and in a real Redis: never wrong, at worst not there."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from memory import hot
from memory.hot import Hot, InProcess, InRedis, Key
from memory.window import Said, Window
from tests.live.valkey import Valkey
from tests.memory.test_window import branch


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
async def in_redis(valkey: Valkey) -> AsyncIterator[InRedis]:
    store = InRedis(valkey.url)
    yield store
    await store.close()


@pytest.fixture(params=["process", "redis"])
async def store(request: Any, valkey: Valkey) -> AsyncIterator[Hot]:
    store: Hot = InProcess() if request.param == "process" else InRedis(valkey.url)
    yield store
    await store.close()


def key(**changes: Any) -> Key:
    return Key(**{"schema_name": "ws_acme", "agent_id": uuid4(), "user_id": uuid4(), **_id(), **changes})


def _id() -> dict[str, Any]:
    return {"conversation_id": uuid4()}


def answered(window: Window, question: str, answer: str) -> Window:
    one = Said(uuid4(), window.leaf_id, "user", question)
    return window.followed_by(one, Said(uuid4(), one.id, "assistant", answer))


async def test_what_was_put_there_is_there(store: Hot) -> None:
    base = uuid4()
    window = Window(branch("a", "", "ñ👩‍👧", "d", base=base), base, "Earlier: z.")
    mine = key()
    assert await store.read(mine) is None
    await store.replace(mine, window)
    assert await store.read(mine) == window
    longer = answered(window, "e", "f")
    await store.append(mine, longer, 2)
    assert await store.read(mine) == longer
    await store.drop(mine)
    assert await store.read(mine) is None


async def test_each_workspace_employee_user_and_conversation_has_its_own(store: Hot) -> None:
    mine = key()
    await store.replace(mine, Window(branch("secret", "ok")))
    for other in ("schema_name", "agent_id", "user_id", "conversation_id"):
        changed = {name: getattr(mine, name) for name in Key.__struct_fields__}
        changed[other] = "ws_globex" if other == "schema_name" else uuid4()
        assert await store.read(Key(**changed)) is None


async def test_a_conversation_that_is_gone_leaves_none_with_any_employee(store: Hot) -> None:
    mine = key()
    same = {name: getattr(mine, name) for name in ("user_id", "conversation_id")}
    other, strangers = key(**same), [key(), key(schema_name="ws_globex", **same)]
    for one in (mine, other, *strangers):
        await store.replace(one, Window(branch("a", "b")))
    await store.drop_conversation("ws_acme", mine.conversation_id)
    there = [await store.read(one) is not None for one in (mine, other, *strangers)]
    assert there == [False, False, True, True]


async def test_in_the_process_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "MAX_WINDOWS", 2)
    store, keys = InProcess(), [key(), key(), key()]
    for one in keys[:2]:
        await store.replace(one, Window(branch("a", "b")))
    assert await store.read(keys[0]) is not None
    await store.replace(keys[2], Window(branch("a", "b")))
    assert [await store.read(one) is not None for one in keys] == [True, False, True]


async def test_in_the_process_they_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "MAX_BYTES", 100_000)
    store, keys = InProcess(), [key() for _ in range(20)]
    for one in keys:
        await store.replace(one, Window(branch("x" * 4000, "y" * 4000)))
    assert store._bytes <= 100_000
    kept = [await store.read(one) is not None for one in keys]
    assert kept == sorted(kept) and 1 <= sum(kept) < 20
    for one in keys:
        await store.drop(one)
    assert store._bytes == 0


async def test_in_redis_it_is_a_list_that_expires(in_redis: InRedis, valkey: Valkey) -> None:
    mine = key()
    await in_redis.replace(mine, Window(branch("a", "b")))
    with redis.Redis.from_url(valkey.url) as plain:
        (name,) = plain.keys(f"konstruct:window:*:{mine.conversation_id}")  # type: ignore[misc]
        assert plain.type(name) == b"list" and plain.llen(name) == 3
        assert 0 < plain.ttl(name) <= hot.EXPIRES  # type: ignore[operator]


async def test_in_redis_reading_is_one_command_and_writing_one_transaction(
    in_redis: InRedis, valkey: Valkey
) -> None:
    mine, window = key(), Window(branch("a", "b"))
    await in_redis.replace(mine, window)
    with redis.Redis.from_url(valkey.url) as plain:

        def calls() -> int:
            stats: Any = plain.info("commandstats")
            return sum(s["calls"] for name, s in stats.items() if name not in ("cmdstat_info",))

        before = calls()
        await in_redis.read(mine)
        assert calls() == before + 1
        stats: Any = plain.info("commandstats")
        transactions = stats["cmdstat_exec"]["calls"]
        await in_redis.append(mine, answered(window, "c", "d"), 2)
        stats = plain.info("commandstats")
        assert stats["cmdstat_exec"]["calls"] == transactions + 1


async def test_in_redis_what_has_expired_does_not_begin_in_the_middle(in_redis: InRedis) -> None:
    mine = key()
    await in_redis.append(mine, answered(Window(branch("a", "b")), "c", "d"), 2)
    assert await in_redis.read(mine) is None


async def test_in_redis_two_writers_that_cross_leave_nothing_wrong(in_redis: InRedis) -> None:
    """One process appends to what another has replaced: the links do not fit, so it is not there."""
    mine, window = key(), Window(branch("a", "b"))
    await in_redis.replace(mine, answered(window, "here", "here"))
    await in_redis.append(mine, answered(window, "there", "there"), 2)
    assert await in_redis.read(mine) is None


async def test_in_redis_one_that_grew_too_long_is_not_there(
    in_redis: InRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot, "MAX_ELEMENTS", 6)
    mine, window = key(), Window(branch("a", "b", "c", "d"))
    await in_redis.replace(mine, window)
    assert await in_redis.read(mine) == window
    await in_redis.append(mine, answered(window, "e", "f"), 2)
    assert await in_redis.read(mine) is None


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x93\x01\x02\x03"])
async def test_in_redis_what_another_release_wrote_is_not_there(
    in_redis: InRedis, valkey: Valkey, junk: bytes
) -> None:
    mine = key()
    await in_redis.replace(mine, Window(branch("a", "b")))
    with redis.Redis.from_url(valkey.url) as plain:
        plain.rpush(hot._name(mine), junk)
    assert await in_redis.read(mine) is None


async def test_where_redis_is_away_there_is_nothing_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mine, window = key(), Window(branch("a", "b"))
    with Valkey(tmp_path) as valkey:
        store = InRedis(valkey.url)
        try:
            await store.replace(mine, window)
            valkey.kill()
            assert await store.read(mine) is None
            assert "Redis is away" in caplog.text
            caplog.clear()
            # Not asked again for a while: no second warning, no second wait.
            assert await store.read(mine) is None
            await store.replace(mine, window)
            assert caplog.text == ""
            monkeypatch.setattr(store, "_away_until", 0.0)
            valkey.start()
            await store.replace(mine, window)
            assert await store.read(mine) == window
        finally:
            await store.close()
