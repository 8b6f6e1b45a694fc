"""From whatever litellm, the openai SDK or the HTTP client raise to our own errors.

Classes are told by name, so that nothing here imports litellm. Two things make it more than a table:
litellm reports a failed connection as an InternalServerError of status 500, so the chain behind an error
has to be looked at; and an error inside a stream carries no status, only the provider's code.
"""

import json
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from agents.errors import AgentError, Client, Refused, TimedOut, Transient, Transport

MISCONFIGURED = "The language model is not set up correctly. Please ask an administrator."

# Codes and types that providers put into an error's body.
_TOO_LONG = {"context_length_exceeded", "exceed_context_size_error"}  # OpenAI; llama.cpp
_REFUSED = {"content_policy_violation", "content_filter"}
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}
_RATE = {"rate_limit_exceeded", "rate_limit_error"}

_TIMEOUTS = {"TimeoutError", "TimeoutException", "APITimeoutError", "Timeout"}
_CONNECTIONS = {
    "APIConnectionError",
    "TransportError",
    "ConnectionError",
    "ClientConnectionError",
    # aiohttp's, of a response that is cut or whose framing is broken.
    "ClientPayloadError",
    "PayloadEncodingError",
}
# Without a status: what the openai SDK and agents.wire make of an error inside a stream.
_IN_STREAM = {"APIError", "StreamError"}


def explain(error: Exception) -> AgentError:
    """What `error` means for us. The caller raises it `from error`."""
    # litellm's wrapper hides what happened inside a stream behind this one.
    error = getattr(error, "original_exception", None) or error
    kinds = {kind.__name__ for kind in type(error).__mro__}
    codes = set(_codes(error))
    status = _status(error, codes)
    wait = _retry_after(error)

    if isinstance(error, AgentError):
        return error
    if "ContextWindowExceededError" in kinds or codes & _TOO_LONG or status == 413:
        return Client("context_too_long")
    if "ContentPolicyViolationError" in kinds or codes & _REFUSED:
        return Refused()
    if "BudgetExceededError" in kinds or codes & _QUOTA:
        return Client("budget_exhausted")
    if status == 429 or codes & _RATE:
        return Transient("model_rate_limited", retry_after=wait)
    behind = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    if behind & _TIMEOUTS or status == 408:
        return TimedOut()
    if behind & _CONNECTIONS or isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return Transport(retry_after=wait)
    if (status is not None and 400 <= status < 500) or _lacks_credentials(error):
        return Client("model_unavailable", sentence=MISCONFIGURED)
    if status is not None or kinds & _IN_STREAM:
        # 5xx, and an error inside a stream whose code says nothing.
        return Transient("model_unavailable", retry_after=wait)
    return AgentError("internal")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came from, up to an error of ours: what lies behind that is another story."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and not isinstance(link, AgentError):
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _codes(error: Exception) -> Iterator[str]:
    """All that names the error: its own code and those in its body and in the bodies behind it."""
    for link in _chain(error):
        body = getattr(link, "body", None)
        for holder in (body, body.get("error") if isinstance(body, Mapping) else None):
            if isinstance(holder, Mapping):
                yield from (str(holder[key]) for key in ("code", "type") if holder.get(key) is not None)


def _status(error: Exception, codes: set[str]) -> int | None:
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    numeric = [int(code) for code in codes if code.isascii() and code.isdigit() and len(code) == 3]
    return numeric[0] if numeric else None


def _lacks_credentials(error: Exception) -> bool:
    """The SDK's complaint about a missing key, its bare base class, which litellm turns into a 500."""
    return any(
        type(link).__name__ == "OpenAIError" and type(link).__module__.partition(".")[0] == "openai"
        for link in _chain(error)
    )


def _retry_after(error: Exception) -> float | None:
    """Seconds the provider asks to wait (RFC 9110, 10.2.3: seconds or a date), None if it does not."""
    headers: Any = getattr(error, "litellm_response_headers", None)
    if not headers:
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
