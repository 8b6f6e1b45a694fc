"""What goes into a run of a language model and what comes out of it: plain, frozen values."""

from typing import Literal

from msgspec import Struct

Role = Literal["system", "user", "assistant"]


class ModelChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """One model and how to reach it.

    name: as litellm writes it, `provider/model`; any OpenAI-compatible server is `openai/<its name>`
        with an `api_base`.
    api_base, api_key: None leaves them to litellm, which reads the provider's own variables.
    """

    name: str
    api_base: str | None = None
    api_key: str | None = None

    def __repr__(self) -> str:
        # The key must reach no log and no traceback.
        key = None if self.api_key is None else "***"
        return f"ModelChoice(name={self.name!r}, api_base={self.api_base!r}, api_key={key!r})"


class PromptMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """One message of a prompt."""

    role: Role
    content: str


class RunRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer asked for.

    models: the wanted one first, then those to fall back to; never empty.
    temperature, max_tokens: None leaves them to the provider.
    timeout: seconds for the whole run, all attempts together: a backstop. The turn's own deadlines
        (first token, idle) are shorter and work by cancelling.
    """

    models: tuple[ModelChoice, ...]
    messages: tuple[PromptMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 180.0

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("A run needs at least one model.")


class TextDelta(Struct, frozen=True, forbid_unknown_fields=True):
    """The next piece of the answer: never empty, encodable as UTF-8, without NUL."""

    text: str


class ReasoningDelta(Struct, frozen=True, forbid_unknown_fields=True):
    """The next piece of what a reasoning model thinks aloud; no part of the answer. As clean as TextDelta."""

    text: str


class Usage(Struct, frozen=True, forbid_unknown_fields=True):
    """What a call consumed.

    cost_usd: None where litellm's price list does not know the model.
    estimated: the provider told nothing, the tokens are counted by `agents.tokens`.
    """

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    estimated: bool


class Finished(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a successful run, exactly once and last.

    model: the `ModelChoice.name` that answered.
    finish_reason: the provider's, in OpenAI's words (`stop`, `length`, ...).
    """

    model: str
    finish_reason: str | None
    usage: Usage | None


Event = TextDelta | ReasoningDelta | Finished
