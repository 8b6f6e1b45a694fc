"""A turn: one message in, one answer out (design decision 4).

A turn is a task of its own, so the socket that asked stays free and its loss ends nothing. It owns
its answer's text, stop, heartbeat and failure, and ends it exactly once: by the model's end, by
`stop`, by a deadline, or with its process.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from django.db import DatabaseError

from agents.employees import NO_EMPLOYEE
from agents.errors import AgentError
from chat import answers, settlement
from chat.answers import Settled, Sign
from chat.context import Context
from chat.generation import Deadlines, Generation, Halt, Halted
from chat.hub import Hub, Room
from chat.inbound import InboundMessage
from chat.outbox import Outbox
from chat.prompting import Prompted, run_request
from chat.protocol import Code, Error, NewMessage, Saved, ServerFrame, Typing, with_ref
from chat.records import AlreadySeen, Begun, Refused
from chat.relay import Relay
from chat.stream import Answer
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0

Begin = Callable[..., Begun]


class Turn:
    """Made by `Turns.start`; `run` is its task."""

    def __init__(
        self,
        *,
        hub: Hub,
        turns: "Turns",
        relay: Relay | None,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        context: Context,
        begin: Begin,
        message_id: UUID,
        reply_id: UUID,
        deadlines: Deadlines,
        asker: Outbox | None,
        ref: str | None,
    ) -> None:
        self.workspace = workspace
        self.inbound = inbound
        self.message_id = message_id
        self.reply_id = reply_id
        self.room = Room(workspace.schema_name, inbound.thread_id)
        self.answer = Answer(reply_id)
        self.begun = False
        self.reply_to: UUID | None = None
        self.typing_sent = False
        self._hub = hub
        self._turns = turns
        self._relay = relay
        self._context = context
        self._prompted: Prompted | None = None
        # What it still sends when it has ended: its own deadlines bound it.
        self._last_words: set[asyncio.Task[None]] = set()
        self._begin = begin
        self._asker = asker
        self._ref = ref
        self._generation = Generation(self.answer, deadlines)
        self._checkpointed = 0

    def halt(self, why: Halt) -> None:
        """End the answer now; what was written is kept."""
        self._generation.halt(why)

    @property
    def user_id(self) -> UUID:
        return self.inbound.sender.user_id

    async def run(self) -> None:
        try:
            begun = await self._open()
            if begun is None:
                return
            settled, error = await self._answer(begun)
            await self._close(begun, settled, error)
        except Exception:
            logger.exception("A turn failed (message %s)", self.message_id)
            self._end(
                self._settled("failed", code=Code.INTERNAL),
                self._error(Code.INTERNAL, settlement.sentence(Code.INTERNAL)),
            )
        except asyncio.CancelledError:
            # The process goes down without waiting: nobody may be left with an endless "typing".
            self._end(self._settled("interrupted"), None)
            raise
        finally:
            self._turns.end(self.room, self)
            self._context.close()
            if self._last_words:
                await asyncio.wait(self._last_words)

    # --- the three parts of a turn --------------------------------------------------------------------

    async def _open(self) -> Begun | None:
        """Store the message and open the answer; tell everybody. None: refused or seen before."""
        try:
            await self._context.open()
            begun = await in_workspace(
                self.workspace,
                self._begin,
                inbound=self.inbound,
                message_id=self.message_id,
                reply_id=self.reply_id,
                held=self._context.held,
            )
        except AlreadySeen as seen:
            self._tell_asker(
                Saved(message_id=seen.message_id, client_id=self.inbound.client_id, reply_id=seen.reply_id)
            )
            return None
        except Refused as refused:
            self._refuse(refused.code, refused.sentence)
            return None
        except Exception:
            logger.exception("A message could not be stored (conversation %s)", self.inbound.thread_id)
            self._refuse(Code.INTERNAL, "Your message could not be stored. Please send it again.")
            return None
        self.begun = True
        self.reply_to = begun.message_id
        self._announce(begun)
        if self._relay is not None:
            relaying = self._relay.publish(self.room, self.answer)
            self._last_words.add(asyncio.create_task(relaying, name="relaying"))
        return begun

    async def _answer(self, begun: Begun) -> tuple[Settled, Error | None]:
        """Let the employee write; out comes how it ended, with the error to tell, if any."""
        if begun.employee is None:
            self.answer.append(NO_EMPLOYEE)
            return self._settled("failed", code=Code.NO_AGENT), self._error(Code.NO_AGENT, NO_EMPLOYEE)
        self._prompted = run_request(
            begun=begun,
            given=await self._context.gather(begun, begun.employee),
            employee=begun.employee,
            inbound=self.inbound,
            workspace=self.workspace,
            timeout=self._generation.deadlines.total,
        )
        request = self._prompted.request
        keeper = asyncio.create_task(self._keep(), name="checkpoints")
        try:
            await self._generation.run(request)
        except Halted as halted:
            usage: settlement.MaybeUsage = settlement.estimate(request, self.answer.text)
            if halted.why is Halt.STOPPED:
                return self._settled("stopped", usage=usage), None
            if halted.why is Halt.SHUT_DOWN:
                return self._settled("interrupted", usage=usage), None
            error = self._error(Code.MODEL_TIMEOUT, settlement.sentence(Code.MODEL_TIMEOUT))
            return self._settled("failed", code=error.code, usage=usage), error
        except AgentError as failure:
            logger.warning(
                "The model failed: %s (%s, message %s)",
                failure.code,
                type(failure.__cause__ or failure).__name__,
                self.reply_id,
            )
            error = self._error(failure.code, failure.sentence, failure.retry_after)
            usage = settlement.estimate(request, self.answer.text) if self.answer.length else None
            return self._settled("failed", code=failure.code, usage=usage), error
        except Exception:
            logger.exception("The runner failed (message %s)", self.reply_id)
            return self._settled("failed", code=Code.INTERNAL), self._error(
                Code.INTERNAL, settlement.sentence(Code.INTERNAL)
            )
        finally:
            keeper.cancel()
            await asyncio.wait({keeper})
        finished = self._generation.finished
        return self._settled("complete", usage=finished.usage if finished else None), None

    async def _close(self, begun: Begun, settled: Settled, error: Error | None) -> None:
        """Store how it ended, then tell everybody: what `done` says is what the database holds."""
        try:
            await settlement.store(
                self.workspace,
                self.inbound.thread_id,
                self.reply_id,
                settled,
                fold_for=self._context.outgrown(begun, settled),
            )
        except Exception:
            logger.exception("An answer could not be stored (message %s)", self.reply_id)
            settled = self._settled("failed", code=Code.INTERNAL)
            error = self._error(Code.INTERNAL, "The answer could not be stored. Copy it if you need it.")
        else:
            keeping = self._context.keep(begun, settled)
            self._last_words.add(asyncio.create_task(keeping, name="window"))
        self._end(settled, error)

    # --- while it runs --------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """About once a second: note in the database that the answer lives, and its text so far."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            length = self.answer.length
            text = self.answer.text if length != self._checkpointed else None
            try:
                sign = await in_workspace(
                    self.workspace, answers.checkpoint, reply_id=self.reply_id, text=text
                )
                self._checkpointed = length
                if sign is not Sign.GO_ON:
                    self.halt(Halt.STOPPED if sign is Sign.STOP else Halt.SHUT_DOWN)
            except settlement.DATABASE_AWAY as error:
                # The text is still here; settlement waits for the database and says so if it stays away.
                logger.warning("A checkpoint failed (%s)", type(error).__name__)
            except DatabaseError as error:
                # The workspace was deleted under the answer: nobody can read it, so nobody pays for more.
                logger.warning("An answer has lost its place (%s)", type(error).__name__)
                self.halt(Halt.SHUT_DOWN)
                return

    def _announce(self, begun: Begun) -> None:
        """`saved` to who asked, `message` and `typing` to everybody else, and the answer to all."""
        agent_id = begun.employee.id if begun.employee else None
        is_new = begun.message_id == self.message_id
        if is_new:
            said = NewMessage(
                message_id=begun.message_id,
                role="user",
                text=begun.text,
                created_at=begun.created_at,
                parent_id=begun.parent_id,
            )
            self._hub.announce(self.room, said, but=self._asker)
        typing = Typing(
            conversation_id=self.inbound.thread_id,
            message_id=begun.reply_id,
            reply_to=begun.message_id,
            agent_id=agent_id,
        )
        self._turns.set(self.room, self)
        self._hub.begins(self.room, self.reply_id, is_new=is_new)
        if not self.typing_sent:
            self._tell_asker(typing)
        self._tell_asker(
            Saved(message_id=begun.message_id, client_id=self.inbound.client_id, reply_id=begun.reply_id)
        )
        for outbox in self._hub.sockets(self.room):
            if outbox is self._asker:
                outbox.follow(self.answer, ref=self._ref)
            elif not outbox.has_heard(self.reply_id):
                outbox.push(typing)
                outbox.follow(self.answer)

    def _end(self, settled: Settled, error: Error | None) -> None:
        done = settlement.done_frame(self.inbound.thread_id, self.reply_id, settled)
        self.answer.finish(*([error] if error else []), done)

    # --- small things ---------------------------------------------------------------------------------

    def _tell_asker(self, frame: ServerFrame) -> None:
        if self._asker is not None:
            self._asker.push(with_ref(frame, self._ref))

    def _refuse(self, code: Code, sentence: str) -> None:
        # `message_id` names the answer that `typing` announced and that will not come.
        self._tell_asker(Error(message=sentence, code=code, message_id=self.reply_id))

    def _error(self, code: str, sentence: str, retry_after: float | None = None) -> Error:
        return Error(message=sentence, code=code, message_id=self.reply_id, retry_after=retry_after)

    def _settled(self, status: str, *, code: str = "", usage: settlement.MaybeUsage = None) -> Settled:
        return settlement.settled(
            self._generation, status=status, code=code, usage=usage, prompted=self._prompted
        )


class Turns:
    """The running turns of this process, by conversation. Used on the event loop only."""

    def __init__(self) -> None:
        self._turns: dict[Room, Turn] = {}

    def running(self, room: Room) -> Turn | None:
        """The turn that runs in this conversation, in this process; it may not have begun yet."""
        return self._turns.get(room)

    def begun(self, room: Room, reply_id: UUID | None = None) -> Turn | None:
        """The turn whose answer (this one, where an id is given) is being written here."""
        turn = self._turns.get(room)
        return turn if turn is not None and turn.begun and reply_id in (None, turn.reply_id) else None

    def take(self, room: Room, turn: Turn) -> bool:
        """Note a turn that is about to begin. False: there is one already."""
        return self._turns.setdefault(room, turn) is turn

    def set(self, room: Room, turn: Turn) -> None:
        """Note the turn that the database has let begin; whatever was noted before it has ended there."""
        self._turns[room] = turn

    def end(self, room: Room, turn: Turn) -> None:
        if self._turns.get(room) is turn:
            del self._turns[room]
