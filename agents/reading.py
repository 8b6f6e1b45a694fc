"""What a stream of OpenAI-shaped chunks says, whoever decoded them.

A chunk is anything with OpenAI's attributes (`choices[0].delta.content`, `usage`, ...): the openai SDK's
objects and litellm's today. Nothing here imports either.
"""

from typing import Any

from agents.errors import AgentError, Refused, Transport
from agents.text import Cleaner
from agents.types import ReasoningDelta, TextDelta

# Finish reasons by which a provider's filter ends an answer, in OpenAI's words.
_FILTERED = "content_filter"


class Reading:
    """Turns chunks into deltas and remembers what the end needs.

    finish_reason: the provider's, None until it gave one.
    usage: the provider's last usage object, wherever in the stream it came.
    refused: the model refused, or a filter ended the answer.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.usage: Any = None
        self.refused = False
        self._text = Cleaner()
        self._reasoning = Cleaner()
        self._written: list[str] = []

    @property
    def written(self) -> str:
        """All that the model wrote, reasoning included, as it is billed."""
        return "".join(self._written)

    def feed(self, chunk: Any) -> list[TextDelta | ReasoningDelta]:
        """The deltas of one chunk, often one, sometimes none. Raises Transport on a chunk that is none."""
        try:
            # Before choices: the chunk with the usage may have none, or be the last with some.
            if (usage := getattr(chunk, "usage", None)) is not None:
                self.usage = usage
            if not chunk.choices:
                return []
            choice = chunk.choices[0]
            delta = choice.delta
            if reason := choice.finish_reason:
                self.finish_reason = reason
            text = _plain(getattr(delta, "content", None))
            reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
            if getattr(delta, "refusal", None) or reason == _FILTERED:
                self.refused = True
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise Transport() from error
        events: list[TextDelta | ReasoningDelta] = []
        if isinstance(reasoning, str) and (piece := self._reasoning.feed(reasoning)):
            self._written.append(piece)
            events.append(ReasoningDelta(piece))
        if text and (piece := self._text.feed(text)):
            self._written.append(piece)
            events.append(TextDelta(piece))
        return events

    def end(self) -> list[TextDelta | ReasoningDelta]:
        """The deltas that were held back, once no more chunks come."""
        events: list[TextDelta | ReasoningDelta] = []
        if piece := self._reasoning.flush():
            events.append(ReasoningDelta(piece))
        if piece := self._text.flush():
            events.append(TextDelta(piece))
        return events

    def failure(self) -> AgentError | None:
        """Why the stream that has ended is no answer, None if it is one.

        Every OpenAI-shaped answer ends with a finish reason, so one without was cut short. `[DONE]` is
        not demanded: several servers leave it out.
        """
        if self.refused:
            return Refused()
        return None if self.finish_reason else Transport()


def _plain(content: Any) -> str:
    """The text of a delta's content: a string, or the list of parts some providers send (Mistral)."""
    if not content or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
