"""How many tokens a text is, about: cheap enough for the way to the first token.

A real tokenizer is exact for one model family and costs megabytes and milliseconds; budgets and
estimates need neither. The rule is 4 UTF-8 bytes a token, rounded up: OpenAI's rule of thumb for
English (4 characters a token), and because CJK characters are 3 bytes and emoji 4, it gives them
about one token each, as tokenizers do.
"""

from collections.abc import Iterable

from agents.types import PromptMessage

BYTES_A_TOKEN = 4
# Role and separators around each message: OpenAI's cookbook counts 3 to 4.
TOKENS_A_MESSAGE = 4


def count(text: str) -> int:
    """Tokens of `text`, estimated. Lone surrogates, which have no UTF-8 form, count like any character."""
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_A_TOKEN)


def count_messages(messages: Iterable[PromptMessage]) -> int:
    """Tokens of a whole prompt, estimated, with what surrounds each message."""
    return sum(count(message.content) + TOKENS_A_MESSAGE for message in messages)
