"""One answer from the first model that gives one.

The rules, which litellm's own retries and fallbacks do not have:
- another model is tried only where that helps (`AgentError.elsewhere`), and only before the first
  piece of text: what a reader has seen is never begun again by somebody else;
- the last model gets one quick retry of a failure that may pass (`AgentError.retryable`), after the
  pause the provider asks for, if that is short; the others need none, their successor is the retry.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from agents import llm
from agents.errors import AgentError
from agents.types import Event, RunRequest, TextDelta

logger = logging.getLogger(__name__)

# Seconds before the retry where the provider names none, and the longest it may name: a person waits.
PAUSE = 0.25
LONGEST_PAUSE = 2.0


async def run(request: RunRequest) -> AsyncGenerator[Event]:
    """The events of one answer: deltas, then exactly one `Finished`.

    Raises the AgentError of the last attempt. `request.timeout` bounds all attempts together; shorter
    deadlines are the caller's, who closes the generator or cancels its task: either closes the
    connection to the provider at once.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + request.timeout
    # The last one twice: its second turn is the retry.
    attempts = [*request.models, request.models[-1]]
    for number, choice in enumerate(attempts, start=1):
        failure: AgentError
        begun = False
        attempt = msgspec.structs.replace(request, timeout=deadline - clock())
        try:
            async with aclosing(llm.stream(choice, attempt)) as events:
                async for event in events:
                    begun = begun or isinstance(event, TextDelta)
                    yield event
            return
        except AgentError as error:
            if begun or number == len(attempts):
                raise
            failure = error
        # Outside of the handler, so that the next failure is not chained to this one.
        last = number >= len(request.models)
        pause = _pause(failure) if last else 0.0
        helps = failure.retryable if last else failure.elsewhere
        if not helps or pause > LONGEST_PAUSE or clock() + pause >= deadline:
            raise failure
        logger.warning("Model %s failed (%s), trying %s", choice.name, failure.code, attempts[number].name)
        await asyncio.sleep(pause)


def _pause(failure: AgentError) -> float:
    return PAUSE if failure.retry_after is None else failure.retry_after
