"""What a turn is given beside its message: the window of its conversation, and what is recalled for it."""

from uuid import UUID

from django.conf import settings

from agents.employees import Employee
from chat.answers import Settled
from chat.branch import kept_text
from chat.inbound import InboundMessage
from chat.prompting import Given, window_budget
from chat.recalling import Question, Recall, Recalls
from chat.records import Begun
from konstruct.tenancy.door import WorkspaceRef
from memory import summaries
from memory.hot import Hot, InProcess, InRedis, Key
from memory.window import Said, Window

# Of the last turn, which helps to understand a message like "and on Fridays?" (characters).
LAST_TURN_CHARS = 500


class Contexts:
    """One a process: the windows at hand, and the recalls under way."""

    def __init__(self, redis_url: str = "") -> None:
        self.hot: Hot = InRedis(redis_url) if redis_url else InProcess()
        self.recalls = Recalls(at_once=max(1, settings.DATABASE_THREADS // 2))

    def of(self, workspace: WorkspaceRef, inbound: InboundMessage, agent_id: UUID | None) -> "Context":
        """That of a turn, whose employee is most likely `agent_id`."""
        return Context(self.hot, self.recalls, workspace, inbound, agent_id)

    async def close(self) -> None:
        await self.recalls.close()
        await self.hot.close()


class Context:
    """One turn's. `open`, then `gather` once it has begun, `keep` once it is settled, and `close` always."""

    def __init__(
        self,
        hot: Hot,
        recalls: Recalls,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        agent_id: UUID | None,
    ) -> None:
        self._hot = hot
        self._recalls = recalls
        self._workspace = workspace
        self._inbound = inbound
        self._agent_id = agent_id
        self._at_hand: Window | None = None
        self._window = Window()
        self._recall: Recall | None = None

    async def open(self) -> None:
        """Look what is at hand, and begin to recall: the message is not stored yet."""
        self._at_hand = await self._hot.read(self._key(self._agent_id))
        if self._agent_id is not None and self._inbound.text:
            known = self._at_hand or Window()
            self._recall = self._recalls.start(self._question(self._inbound.text, known), self._agent_id)

    @property
    def held(self) -> frozenset[UUID]:
        """The messages up to which the window is at hand (`chat.records`)."""
        return self._at_hand.held if self._at_hand is not None else frozenset()

    async def gather(self, begun: Begun, employee: Employee) -> Given:
        """What there is for this answer; recalling delays it by `chat.recalling.RECALL_SECONDS` at most."""
        self._window = self._window_of(begun)
        # Asked for another answer, it must not be reminded of the one before.
        again = self._question(begun.text, self._window, *([] if self._inbound.text else [begun.message_id]))
        if self._recall is None or self._recall.agent_id != employee.id:
            self.close()
            self._recall = self._recalls.start(again, employee.id)
        found = await self._recalls.outcome(self._recall, again, employee)
        return Given(self._window, found.memories, found.ms, found.late)

    def outgrown(self, begun: Begun, settled: Settled) -> UUID | None:
        """The employee whose window the conversation, with this answer, has outgrown; None if it has not."""
        if begun.employee is None:
            return None
        window = self._after(begun, settled)
        full = not window.whole or summaries.is_full(window.tokens, window_budget(begun.employee))
        return begun.employee.id if full else None

    async def keep(self, begun: Begun, settled: Settled) -> None:
        """The answer is stored: the next turn's window is at hand. One that is to be folded is not kept,
        so that the next turn sees the new summary as soon as there is one."""
        if begun.employee is None:
            return
        key = self._key(begun.employee.id)
        if self.outgrown(begun, settled) is not None:
            await self._hot.drop(key)
            return
        window = self._after(begun, settled)
        goes_on = self._at_hand is not None and self._at_hand.leaf_id == begun.parent_id
        if goes_on and self._agent_id == begun.employee.id:
            await self._hot.append(key, window, 2)
        else:
            await self._hot.replace(key, window)

    def close(self) -> None:
        """Wait no longer for what is recalled."""
        if self._recall is not None:
            self._recall.cancel()

    # --- inside -------------------------------------------------------------------------------------

    def _window_of(self, begun: Begun) -> Window:
        if begun.window is not None:
            return begun.window
        assert self._at_hand is not None and begun.parent_id is not None
        return self._at_hand.upto(begun.parent_id)

    def _after(self, begun: Begun, settled: Settled) -> Window:
        return self._window.followed_by(
            Said(begun.message_id, begun.parent_id, "user", begun.text),
            Said(begun.reply_id, begun.message_id, "assistant", kept_text(settled.status, settled.text)),
        )

    def _question(self, text: str, window: Window, *also: UUID) -> Question:
        before = window.lines(window.tokens)[-2:]
        edited = [self._inbound.reply_to] if self._inbound.reply_to is not None else []
        exclude = [one.id for one in window.said if one.role == "user"]
        return Question(
            workspace=self._workspace,
            user_id=self._inbound.sender.user_id,
            conversation_id=self._inbound.thread_id,
            text=text,
            before="\n".join(line.text[:LAST_TURN_CHARS] for line in before),
            exclude=frozenset([*exclude, *edited, *also]),
        )

    def _key(self, agent_id: UUID | None) -> Key:
        return Key(
            self._workspace.schema_name, agent_id, self._inbound.sender.user_id, self._inbound.thread_id
        )
