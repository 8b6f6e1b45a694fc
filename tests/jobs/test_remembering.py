"""The jobs that fill the long memory: what they store, what they leave, and what they survive."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction
from pytest_django.fixtures import Settings

from agents import llm
from agents.models import Agent
from chat import embedding
from chat.answers import Settled
from chat.jobs.remembering import cancel_pending, remember
from chat.jobs.titles import defer_title
from chat.models import Conversation, Message, ModelCall, Status
from chat.settlement import settle_and_defer
from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef, in_shared, in_workspace
from konstruct.tenancy.models import User
from memory import store
from memory.embedder import LOCAL
from memory.models import Forgotten, Kind, Memory, MemoryOff
from tests.jobs.conftest import Places, defer, idle, rows, until, working
from tests.upstream import Upstream

# What litellm's own classes warn of, at the first call of the process, whichever test that is in.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is using the `ReadOnly` qualifier:UserWarning"),
]
PEANUTS = "I am allergic to peanuts. What is for lunch?"
ALLERGIC = "The user is allergic to peanuts."


class Talk:
    """A person's conversation in a workspace. What it says is stored and settled as a turn does it."""

    def __init__(self, workspace: WorkspaceRef, model: str) -> None:
        """Run inside the workspace."""
        self.workspace = workspace
        self.user = User.objects.create_user(f"ana.{uuid.uuid4().hex[:8]}@example.com", display_name="Ana")
        agent = Agent.objects.create(name="Kim", model=model)
        self.agent_id = agent.id
        self.id = Conversation.objects.create(user_id=self.user.id, agent=agent, title="Lunch").id

    async def inside(self, function: Callable[..., Any], /, **kwargs: Any) -> Any:
        return await in_workspace(self.workspace, function, **kwargs)

    async def say(
        self,
        text: str,
        answer: str = "There is soup.",
        *,
        status: str = Status.COMPLETE,
        parent: uuid.UUID | None = None,
    ) -> uuid.UUID:
        """A question and its answer; out comes the question's id."""
        question = await self.inside(self._ask, text=text, parent=parent)
        await self.answer(question, answer, status=status)
        return question

    async def answer(self, question: uuid.UUID, text: str, *, status: str = Status.COMPLETE) -> None:
        await self.inside(self._answer, question=question, text=text, status=status)

    def _ask(self, *, text: str, parent: uuid.UUID | None) -> uuid.UUID:
        row = Message.objects.create(conversation_id=self.id, role="user", text=text, parent_id=parent)
        return row.id

    def _answer(self, *, question: uuid.UUID, text: str, status: str) -> None:
        reply = Message.objects.create(
            conversation_id=self.id,
            parent_id=question,
            role="assistant",
            status=Status.RUNNING,
            agent_id=self.agent_id,
        )
        settle_and_defer(
            conversation_id=self.id,
            reply_id=reply.id,
            settled=Settled(text=text, status=status),
            workspace_id=self.workspace.id,
        )

    async def memories(self, kind: str) -> list[Memory]:
        def read() -> list[Memory]:
            return list(Memory.objects.filter(kind=kind, user_id=self.user.id).order_by("said_at", "id"))

        found: list[Memory] = await self.inside(read)
        return found

    async def facts(self) -> list[str]:
        return [memory.text for memory in await self.memories(Kind.FACT)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    llm.warm().join()  # seconds, on a busy machine
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(autouse=True)
async def _models(upstream: Upstream, settings: Settings, places: Places) -> AsyncIterator[None]:
    upstream.reset()
    settings.KONSTRUCT_MODEL = "openai/distiller"
    settings.KONSTRUCT_API_BASE = upstream.url
    settings.KONSTRUCT_API_KEY = ""
    settings.KONSTRUCT_MEMORY_MODEL = ""
    yield
    # Connections end with the test, as its event loop does.
    await llm.close()
    for workspace in places:
        await in_workspace(workspace, _forget_everything)


def _forget_everything() -> None:
    for model in (Memory, MemoryOff, Forgotten):
        model.objects.all().delete()


TalkOf = Callable[..., Awaitable[Talk]]


@pytest.fixture
def talk(places: Places) -> TalkOf:
    async def begin(model: str = "openai/distiller", workspace: WorkspaceRef = places[0]) -> Talk:
        return await in_workspace(workspace, Talk, workspace=workspace, model=model)

    return begin


async def work_off() -> None:
    async with working():
        await idle()


# --- what is remembered ----------------------------------------------------------------------------


async def test_an_answered_question_is_remembered_with_its_facts_and_where_they_come_from(
    talk: TalkOf,
) -> None:
    ana = await talk()
    question = await ana.say(PEANUTS)
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.text == f"Ana: {PEANUTS}\nKim: There is soup."
    (fact,) = await ana.memories(Kind.FACT)
    assert fact.text == ALLERGIC
    for memory in (exchange, fact):
        assert (memory.message_id, memory.conversation_id) == (question, ana.id)
        assert (memory.user_id, memory.agent_id) == (ana.user.id, ana.agent_id)
        assert await ana.inside(memory.vectors.count) == 1
    assert exchange.distilled_at is not None
    assert await rows() == []


async def test_what_looking_for_facts_costs_is_in_the_ledger(talk: TalkOf) -> None:
    ana = await talk()
    await ana.say(PEANUTS)
    await work_off()
    (call,) = await ana.inside(lambda: list(ModelCall.objects.all()))
    assert (call.purpose, call.model, call.conversation_id) == ("facts", "openai/distiller", ana.id)
    assert call.prompt_tokens > 100 and call.completion_tokens > 0


async def test_what_a_title_costs_is_in_the_ledger_too(talk: TalkOf) -> None:
    ana = await talk()
    await ana.inside(ana._ask, text="Lunch for the team", parent=None)
    await ana.inside(lambda: Conversation.objects.filter(id=ana.id).update(title=""))
    await ana.inside(defer_title, workspace_id=ana.workspace.id, conversation_id=ana.id)
    await work_off()
    (call,) = await ana.inside(lambda: list(ModelCall.objects.all()))
    assert (call.purpose, call.conversation_id) == ("title", ana.id)
    assert await ana.inside(lambda: Conversation.objects.get(id=ana.id).title) == "Lunch for the team"


@pytest.mark.parametrize(
    ("status", "answer", "remembered"),
    [
        (Status.COMPLETE, "Soup.", True),
        (Status.STOPPED, "Sou", True),
        (Status.STOPPED, "", False),
        (Status.FAILED, "Sou", False),
        (Status.INTERRUPTED, "Sou", False),
    ],
)
async def test_only_answers_that_ended_as_wanted_are_remembered(
    talk: TalkOf, status: str, answer: str, remembered: bool
) -> None:
    ana = await talk()
    await ana.say(PEANUTS, answer, status=status)
    assert bool(await rows()) is remembered
    await work_off()
    assert bool(await ana.memories(Kind.EXCHANGE)) is remembered


async def test_an_interrupted_answer_that_is_settled_after_all_is_remembered(talk: TalkOf) -> None:
    ana = await talk()
    question = await ana.inside(ana._ask, text=PEANUTS, parent=None)
    await ana.answer(question, "Sou", status=Status.INTERRUPTED)

    def settle_again() -> None:
        settle_and_defer(
            conversation_id=ana.id,
            reply_id=Message.objects.get(parent_id=question).id,
            settled=Settled(text="Soup.", status="complete"),
            workspace_id=ana.workspace.id,
        )

    await ana.inside(settle_again)
    await work_off()
    assert [memory.text for memory in await ana.memories(Kind.EXCHANGE)] == [f"Ana: {PEANUTS}\nKim: Soup."]


async def test_a_newer_answer_to_the_same_question_takes_the_first_ones_place(talk: TalkOf) -> None:
    ana = await talk()
    question = await ana.say(PEANUTS)
    await work_off()
    await ana.answer(question, "There is pasta.")
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.text.endswith("Kim: There is pasta.")
    assert await ana.facts() == [ALLERGIC]


async def test_two_answers_before_the_job_has_run_are_one_memory_of_the_newest(talk: TalkOf) -> None:
    ana = await talk()
    question = await ana.say(PEANUTS)
    await ana.answer(question, "There is pasta.")
    assert len(await rows()) == 1
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.text.endswith("Kim: There is pasta.")


async def test_of_an_edited_question_the_last_version_is_current_and_the_first_is_history(
    talk: TalkOf,
) -> None:
    ana = await talk()
    first = await ana.say("I am allergic to peanuts.")
    await work_off()
    second = await ana.say("I am allergic to shrimps.")
    await work_off()
    exchanges = {memory.message_id: memory for memory in await ana.memories(Kind.EXCHANGE)}
    assert exchanges[first].superseded_by_id == exchanges[second].id
    assert exchanges[second].superseded_at is None
    current = [memory.text for memory in await ana.memories(Kind.FACT) if memory.superseded_at is None]
    assert current == ["The user is allergic to shrimps."]


async def test_the_next_question_of_a_branch_is_no_version_of_the_first(talk: TalkOf) -> None:
    ana = await talk()
    first = await ana.say(PEANUTS)
    reply = await ana.inside(lambda: Message.objects.get(parent_id=first).id)
    await ana.say("And tomorrow?", parent=reply)
    await work_off()
    assert [memory.superseded_at for memory in await ana.memories(Kind.EXCHANGE)] == [None, None]


async def test_a_job_that_runs_once_more_changes_nothing_and_costs_nothing(
    talk: TalkOf, upstream: Upstream
) -> None:
    ana = await talk()
    question = await ana.say(PEANUTS)
    await work_off()
    asked = len(upstream.requests())
    await defer(ana.workspace, remember, conversation_id=ana.id, message_id=question)
    await work_off()
    assert len(await ana.memories(Kind.EXCHANGE)) == 1 and await ana.facts() == [ALLERGIC]
    assert len(upstream.requests()) == asked


async def test_secrets_are_neither_stored_nor_sent_to_the_model(talk: TalkOf, upstream: Upstream) -> None:
    ana = await talk()
    await ana.say(
        "My password: hunter2-and-more. I am allergic to peanuts.", "Noted: hunter2? No. sk-" + "a1" * 20
    )
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    (request,) = upstream.requests()
    for text in (exchange.text, str(request["messages"])):
        assert "hunter2-and-more" not in text and "a1a1a1a1" not in text and "peanuts" in text


async def test_a_very_long_exchange_is_cut(talk: TalkOf) -> None:
    ana = await talk()
    await ana.say("question " * 5000, "answer " * 5000)
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert len(exchange.text) < 8000 and "question" in exchange.text and "Kim: answer" in exchange.text


# --- who looks for facts ---------------------------------------------------------------------------


async def test_the_embedded_model_is_not_asked_for_facts(talk: TalkOf, upstream: Upstream) -> None:
    ana = await talk(django_settings.LOCAL_MODEL_NAME)
    await ana.say(PEANUTS)
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.distilled_at is not None
    assert await ana.facts() == [] and upstream.requests() == []


async def test_the_memory_model_takes_the_employees_place(
    talk: TalkOf, upstream: Upstream, settings: Settings
) -> None:
    settings.KONSTRUCT_MEMORY_MODEL = "openai/distiller"
    ana = await talk("openai/echo")
    await ana.say(PEANUTS)
    await work_off()
    assert await ana.facts() == [ALLERGIC]
    assert [request["model"] for request in upstream.requests()] == ["distiller"]


async def test_an_answer_that_cannot_be_read_is_asked_for_once_more(talk: TalkOf) -> None:
    ana = await talk("openai/distiller-unreadable-1")
    await ana.say(PEANUTS)
    await work_off()
    assert await ana.facts() == [ALLERGIC]
    assert await ana.inside(ModelCall.objects.count) == 2


async def test_after_two_answers_that_cannot_be_read_the_exchange_stays_without_facts(talk: TalkOf) -> None:
    ana = await talk("openai/distiller-unreadable-9")
    await ana.say(PEANUTS)
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.distilled_at is not None and await ana.facts() == []
    assert await ana.inside(ModelCall.objects.count) == 2 and await rows() == []


async def test_a_model_that_is_away_for_a_while_is_asked_again(talk: TalkOf) -> None:
    ana = await talk("openai/distiller-flaky-3-503")
    await ana.say(PEANUTS)
    await work_off()
    assert await ana.facts() == [ALLERGIC] and await rows() == []


async def test_a_wrong_key_is_for_the_operators_and_costs_no_memory(
    talk: TalkOf, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    ana = await talk("openai/status-401")
    await ana.say(PEANUTS)
    await work_off()
    assert len(await ana.memories(Kind.EXCHANGE)) == 1
    (failed,) = await rows()
    assert (failed["task_name"], failed["status"]) == ("chat.distil", "failed")
    assert "sk-SECRET" not in caplog.text and "peanuts" not in caplog.text

    settings.KONSTRUCT_MEMORY_MODEL = "openai/distiller"
    await in_shared(job_keeping.try_again, job_ids=[failed["id"]])
    await work_off()
    assert await ana.facts() == [ALLERGIC] and await rows() == []


async def test_an_exchange_is_remembered_while_the_facts_of_the_one_before_wait_for_their_model(
    talk: TalkOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("konstruct.tenancy.jobs.FIRST_WAIT", 3600.0)
    ana = await talk("openai/status-503")
    first = await ana.say(PEANUTS)
    async with working():

        async def fails() -> Any:
            return await rows("task_name = 'chat.distil' AND status = 'todo' AND attempts > 0")

        await until(fails)
        reply = await ana.inside(lambda: Message.objects.get(parent_id=first).id)
        await ana.say("And tomorrow?", parent=reply)

        async def both() -> bool:
            return len(await ana.memories(Kind.EXCHANGE)) == 2

        await until(both)


# --- what is not remembered ------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["agent_id", "conversation_id"])
async def test_where_memory_is_off_no_job_is_deferred(talk: TalkOf, where: str) -> None:
    ana = await talk()
    off = {where: ana.agent_id if where == "agent_id" else ana.id}
    await ana.inside(store.set_off, user_id=ana.user.id, off=True, **off)
    await ana.say(PEANUTS)
    assert await rows() == []


async def test_what_waits_when_memory_is_switched_off_writes_nothing(talk: TalkOf) -> None:
    ana = await talk()
    await ana.say(PEANUTS)
    await ana.inside(store.set_off, user_id=ana.user.id, conversation_id=ana.id, off=True)
    await work_off()
    assert await ana.memories(Kind.EXCHANGE) == [] and await rows() == []


async def test_forgetting_cancels_what_waits_in_the_same_transaction(talk: TalkOf) -> None:
    ana = await talk("openai/status-401")
    question = await ana.say(PEANUTS)
    await work_off()
    assert [row["task_name"] for row in await rows()] == ["chat.distil"]
    await ana.answer(question, "There is pasta.")

    def forget(*, commits: bool) -> list[uuid.UUID]:
        with transaction.atomic():
            gone = store.forget_all(user_id=ana.user.id)
            assert cancel_pending(workspace_id=ana.workspace.id, message_ids=gone) == 2
            transaction.set_rollback(not commits)
            return gone

    await ana.inside(forget, commits=False)
    assert len(await rows()) == 2
    assert await ana.inside(forget, commits=True) == [question]
    assert await rows() == []
    await work_off()
    assert await ana.memories(Kind.EXCHANGE) == []


async def test_what_is_forgotten_while_its_job_asks_the_model_stays_forgotten(
    talk: TalkOf, upstream: Upstream
) -> None:
    ana = await talk("openai/distiller-late-500")
    await ana.say(PEANUTS)

    async def asks() -> bool:
        return bool(upstream.requests())

    async with working():
        await until(asks)
        await ana.inside(store.forget_all, user_id=ana.user.id)
        assert [row["status"] for row in await rows()] == ["doing"]
        await idle()
    assert await ana.inside(Memory.objects.count) == 0 and await rows() == []


@pytest.mark.parametrize("model", ["openai/status-400-policy", "openai/status-400-context"])
async def test_what_the_model_declines_is_kept_without_facts(talk: TalkOf, model: str) -> None:
    ana = await talk(model)
    await ana.say(PEANUTS)
    await work_off()
    (exchange,) = await ana.memories(Kind.EXCHANGE)
    assert exchange.distilled_at is not None and await rows() == []


async def test_an_embedder_that_changed_between_embedding_and_writing_is_asked_anew(
    talk: TalkOf, monkeypatch: pytest.MonkeyPatch, places: Places
) -> None:
    asked: list[str] = []

    async def embed(texts: Any, *, name: str, timeout: float) -> Any:
        asked.append(name)
        return await real(texts, name=LOCAL, timeout=timeout)

    real: Callable[..., Awaitable[Any]] = embedding.embed
    monkeypatch.setattr(embedding, "embed", embed)
    monkeypatch.setitem(embedding._embedders, places[0].id, "the one before")
    ana = await talk()
    await ana.say(PEANUTS)
    await work_off()
    assert await ana.facts() == [ALLERGIC] and await rows() == []
    assert asked[0] == "the one before" and set(asked[1:]) == {LOCAL}


async def test_two_workspaces_memories_do_not_mix_and_a_foreign_id_reaches_nothing(
    talk: TalkOf, places: Places
) -> None:
    ana, ben = await talk(), await talk(workspace=places[1])
    ours = await ana.say(PEANUTS)
    await ben.say("I am allergic to shrimps.")
    await work_off()
    await defer(places[1], remember, conversation_id=ana.id, message_id=ours)
    await work_off()
    assert await ana.facts() == [ALLERGIC]
    assert await ben.facts() == ["The user is allergic to shrimps."]
    assert await ben.inside(lambda: Memory.objects.filter(user_id=ana.user.id).count()) == 0
    assert await rows() == []


async def test_the_memory_of_someone_who_has_gone_is_not_filled(talk: TalkOf) -> None:
    ana = await talk()
    await ana.say(PEANUTS)
    await in_shared(ana.user.delete)
    await work_off()
    assert await ana.inside(Memory.objects.count) == 0 and await rows() == []
