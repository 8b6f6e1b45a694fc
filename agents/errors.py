"""How a run can fail, grouped by what one can do about it.

A class says what helps; `code` is the error code of the wire protocol; `sentence` is for a person.
The provider's own words stay in `__cause__`, for the log: they may quote keys, addresses and prompts.
"""

from typing import ClassVar, Literal

Code = Literal[
    "model_unavailable",
    "model_rate_limited",
    "model_timeout",
    "context_too_long",
    "content_refused",
    "budget_exhausted",
    "internal",
]

SENTENCES: dict[str, str] = {
    "model_unavailable": "The language model cannot be reached at the moment. Please try again later.",
    "model_rate_limited": "The language model is receiving too many requests. Please try again in a moment.",
    "model_timeout": "The language model did not respond in time. Please try again.",
    "context_too_long": "This conversation is too long for the language model. Please start a new one.",
    "content_refused": "The language model declined to answer this message.",
    "budget_exhausted": "The budget for the language model is used up. Please ask an administrator.",
    "internal": "Something went wrong on our side. Please try again.",
}


class AgentError(Exception):
    """A run that failed.

    code: one of the wire protocol's error codes.
    sentence: what a person is shown; never a provider's text, a key or an address.
    retry_after: seconds the provider asks to wait, None where it says nothing.
    retryable: the same request to the same model may succeed soon.
    elsewhere: another model may succeed now.
    """

    retryable: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = True

    def __init__(self, code: Code, *, sentence: str | None = None, retry_after: float | None = None) -> None:
        self.code: Code = code
        self.sentence = sentence or SENTENCES[code]
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.sentence}")


class Transient(AgentError):
    """The provider is there but cannot serve now: rate limit, overload, an error of its own (5xx)."""

    retryable = True


class Transport(AgentError):
    """The way to the provider failed: no connection, a stream cut short or broken."""

    retryable = True

    def __init__(
        self,
        code: Code = "model_unavailable",
        *,
        sentence: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, sentence=sentence, retry_after=retry_after)


class Client(AgentError):
    """Our request is at fault: key, configuration, unknown model, quota, too long a context."""


class Refused(AgentError):
    """The model or its provider declines to answer. Asking another one would evade that decision."""

    elsewhere = False

    def __init__(self, *, sentence: str | None = None) -> None:
        super().__init__("content_refused", sentence=sentence)


class TimedOut(AgentError):
    """The provider was silent too long, or the run's own time is used up."""

    def __init__(self, *, sentence: str | None = None) -> None:
        super().__init__("model_timeout", sentence=sentence)
