"""What a stream of OpenAI-shaped chunks says, whoever decoded them.

A chunk is anything with OpenAI's attributes (`choices[0].delta.content`, `usage`, ...): those of
`agents.wire`, the openai SDK's objects, litellm's. Nothing here imports any of them.
"""

from typing import Any

from msgspec import Struct

from agents.errors import AgentError, Refused, Transport
from agents.text import Cleaner, clean
from agents.types import ReasoningDelta, TextDelta

# Finish reasons by which a provider's filter ends an answer, in OpenAI's words.
_FILTERED = "content_filter"
# JSON that a broken provider may send in a chunk's place.
_NO_CHUNKS = (str, int, float, list)


class ToolCall(Struct, frozen=True):
    """A function the model wants called; `arguments` as it wrote them, JSON or not."""

    id: str
    name: str
    arguments: str


class _Written:
    """Pieces of one kind: those since the last delta, and all of them."""

    __slots__ = ("_cleaner", "_delta", "_fresh", "all")

    def __init__(self, delta: type[TextDelta] | type[ReasoningDelta]) -> None:
        self._delta = delta
        self._cleaner = Cleaner()
        self._fresh: list[str] = []
        self.all: list[str] = []

    def add(self, text: str) -> None:
        self._fresh.append(text)

    def take(self) -> list[TextDelta | ReasoningDelta]:
        """What was added as one delta; none where it is nothing, or the first half of a pair."""
        fresh = self._fresh
        if not fresh:
            return []
        self._fresh = []
        return self._as_delta(self._cleaner.feed(fresh[0] if len(fresh) == 1 else "".join(fresh)))

    def end(self) -> list[TextDelta | ReasoningDelta]:
        return self._as_delta(self._cleaner.flush())

    def _as_delta(self, text: str) -> list[TextDelta | ReasoningDelta]:
        if not text:
            return []
        self.all.append(text)
        return [self._delta(text)]


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
        self._text = _Written(TextDelta)
        self._reasoning = _Written(ReasoningDelta)
        # What the last piece was, so that what comes between two pieces of one kind stays between them.
        self._current = self._text
        self._events: list[TextDelta | ReasoningDelta] = []
        self._calls: dict[int, list[str]] = {}

    @property
    def written(self) -> str:
        """All that the model wrote, reasoning included, as it is billed."""
        return "".join((*self._reasoning.all, *self._text.all))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls asked for so far, in the provider's order."""
        return tuple(ToolCall(*map(clean, self._calls[index])) for index in sorted(self._calls))

    def feed(self, chunk: Any) -> None:
        """Note what one chunk says. Raises Transport on a chunk that is none."""
        try:
            # Before choices: the chunk with the usage may have none, or be the last with some.
            if (usage := getattr(chunk, "usage", None)) is not None:
                self.usage = usage
            choices = getattr(chunk, "choices", None)
            if not choices:
                if chunk is None or isinstance(chunk, _NO_CHUNKS):
                    raise TypeError
                return
            choice = choices[0]
            if reason := getattr(choice, "finish_reason", None):
                self.finish_reason = str(reason)
                if reason == _FILTERED:
                    self.refused = True
            delta = getattr(choice, "delta", None)
            if delta is None:
                return
            content = getattr(delta, "content", None)
            reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
            if content and not isinstance(content, str):
                content, thought = _joined(content)
                reasoning = reasoning or thought
            if getattr(delta, "refusal", None):
                self.refused = True
            if calls := getattr(delta, "tool_calls", None):
                self._note_calls(calls)
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise Transport() from error
        if reasoning and isinstance(reasoning, str):
            self._add(self._reasoning, reasoning)
        if content:
            self._add(self._text, content)

    def take(self) -> list[TextDelta | ReasoningDelta]:
        """The deltas of what was fed since the last time: adjacent pieces of one kind are one."""
        events, self._events = self._events, []
        return events + self._current.take()

    def end(self) -> list[TextDelta | ReasoningDelta]:
        """The deltas that were held back, once no more chunks come."""
        return self.take() + self._reasoning.end() + self._text.end()

    def failure(self) -> AgentError | None:
        """Why the stream that has ended is no answer, None if it is one.

        Every OpenAI-shaped answer ends with a finish reason, so one without was cut short. `[DONE]` is
        not demanded: several servers leave it out.
        """
        if self.refused:
            return Refused()
        return None if self.finish_reason else Transport()

    def _add(self, kind: _Written, text: str) -> None:
        if kind is not self._current:
            self._events += self._current.take()
            self._current = kind
        kind.add(text)

    def _note_calls(self, calls: Any) -> None:
        """The first delta of a call has its id and name, the others go on with its arguments."""
        for call in calls:
            index = getattr(call, "index", None) or 0
            known = self._calls.setdefault(index, ["", "", ""])
            function = getattr(call, "function", None)
            known[0] = known[0] or getattr(call, "id", None) or ""
            known[1] = known[1] or getattr(function, "name", None) or ""
            known[2] += getattr(function, "arguments", None) or ""


def _joined(parts: Any) -> tuple[str, str]:
    """Text and reasoning of a content that is a list of parts, as Mistral sends it."""
    text, reasoning = [], []
    for part in parts:
        kind = _of(part, "type")
        if kind == "text":
            text.append(_of(part, "text") or "")
        elif kind == "thinking":
            reasoning += [_of(inner, "text") or "" for inner in _of(part, "thinking") or ()]
    return "".join(text), "".join(reasoning)


def _of(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, dict) else getattr(part, name)
