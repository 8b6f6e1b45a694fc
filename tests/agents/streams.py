"""Answers as providers write them, byte for byte: the shapes all ways to read must agree on."""

import json
from typing import Any


def events(*chunks: Any, end: bytes = b"\n\n", done: bool = True) -> bytes:
    """Each chunk as an event; bytes stand for themselves."""
    parts = [c if isinstance(c, bytes) else b"data: " + json.dumps(c).encode() + end for c in chunks]
    return b"".join(parts) + (b"data: [DONE]" + end if done else b"")


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **beside: Any) -> dict[str, Any]:
    """One event of an answer; `beside` goes next to `choices`."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **beside}


def usage(prompt: int = 7, completion: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **more,
    }


def text(*pieces: str) -> list[dict[str, Any]]:
    return [chunk({"content": piece}) for piece in pieces]


def _raw(chunk_: dict[str, Any]) -> bytes:
    """An event whose text is not escaped: multi-byte characters on the wire."""
    return b"data: " + json.dumps(chunk_, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _call(index: int, arguments: str, **head: str) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": head["name"]} if "name" in head else {})}
    first = {"id": head["id"], "type": "function"} if "id" in head else {}
    return chunk({"tool_calls": [{"index": index, "function": function, **first}]})


_ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
_END = chunk(reason="stop")
_USAGE = {**chunk(), "choices": [], "usage": usage()}

STREAMS: dict[str, bytes] = {
    "openai": events(
        *({**c, "usage": None} for c in (_ROLE, *text("Hello", ",", " world"), _END)),
        {**_USAGE, "usage": usage(prompt_tokens_details={"cached_tokens": 5, "audio_tokens": 0})},
    ),
    "azure": events(
        {**chunk(), "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        _ROLE,
        *text("Guten ", "Tag"),
        _END,
        _USAGE,
    ),
    "multi-byte": events(
        *map(_raw, text("漢字 ", "é", "e\u0301", "👩\u200d👩\u200d👧", " \u2028 ok")), _END, _USAGE
    ),
    "crlf": events(_ROLE, *text("one ", "two"), _END, _USAGE, end=b"\r\n\r\n"),
    "cr": events(_ROLE, *text("one ", "two"), _END, end=b"\r\r"),
    "openrouter": events(
        b": OPENROUTER PROCESSING\n\n",
        b": OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": "", "reasoning": "Let me "}),
        chunk({"content": "", "reasoning": "think."}),
        *text("4", "2"),
        chunk({"content": ""}, "stop", native_finish_reason="STOP"),
        _USAGE,
    ),
    "deepseek": events(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "Hm"}),
        chunk({"content": None, "reasoning_content": "m."}),
        b": keep-alive\n\n",
        chunk({"content": "So: ", "reasoning_content": None}),
        chunk({"content": "42"}),
        chunk({"content": ""}, "stop", usage=usage(9, 4, prompt_cache_hit_tokens=2)),
    ),
    "mistral": events(
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Why? "}]}]}),
        chunk({"content": [{"type": "text", "text": "Be"}, {"type": "reference", "reference_ids": [1]}]}),
        chunk({"content": [{"type": "text", "text": "cause."}]}),
        chunk({"content": ""}, "stop", usage=usage()),
    ),
    "llama.cpp": events(
        chunk({"role": "assistant", "content": None}),
        *text("Ok", "."),
        {**_END, "timings": {"predicted_per_second": 101.7}},
        _USAGE,
    ),
    "multi-line": b'data: {"choices":[{"delta":\ndata: {"content":"two lines"},\n'
    b'data: "finish_reason":"stop"}]}\n\n',
    "no-done": events(*text("no ", "mark"), _END, _USAGE, done=False),
    "no-space": b'data:{"choices":[{"delta":{"content":"tight"},"finish_reason":"stop"}]}\n\ndata:[DONE]\n\n',
    "halves": events(*text("a\ud83d", "\ude00b", "\0", "\ud83d", "c\ude00"), _END, _USAGE),
    "half-at-the-end": events(*text("a", "\ud83d"), _END),
    "usage-early": events({**text("x")[0], "usage": usage(7, 1)}, {**text("y")[0], "usage": usage()}, _END),
    "tools": events(
        _ROLE,
        _call(0, "", id="call_1", name="look_up"),
        _call(0, '{"q": "'),
        _call(0, 'caf\u00e9"}'),
        _call(1, "{}", id="call_2", name="now"),
        chunk(reason="tool_calls"),
        _USAGE,
    ),
    "length": events(*text("cut ", "short"), chunk(reason="length"), _USAGE),
    "refusal": events(_ROLE, chunk({"refusal": "I cannot "}), chunk({"refusal": "help."}), _END, _USAGE),
    "filtered": events(*text("Well"), chunk(reason="content_filter")),
    "error": events(
        *text("Half "), {"error": {"message": "Overloaded", "type": "server_error", "code": None}}
    ),
    "error-429": events(*text("Half "), {"error": {"message": "Slow down", "code": 429}}),
    "error-long": events({"error": {"message": "too long", "code": "context_length_exceeded"}}),
    "error-words": events(*text("Half "), {"error": "something broke"}),
    "broken-json": events(*text("Half "), b'data: {"choices": [{"del\n\n', *text("never seen"), _END),
    "not-utf8": events(*text("Half "), b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', _END),
    "no-object": events(*text("Half "), b"data: 5\n\n", _END),
    "cut": events(*text("Half an "), done=False),
    "cut-in-an-event": events(*text("Half "), done=False)
    + b'data: {"choices": [{"delta": {"content": "lost"',
    "done-early": events(*text("Half ")),
    "unlike-us": events(
        {
            "choices": [
                {"delta": {"content": "odd", "tool_calls": None, "annotations": [{}]}, "finish_reason": ""}
            ]
        },
        {
            "choices": [{"delta": {"content": " but"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7.0},
        },
    ),
    "empty": b"",
    "nothing": events(_ROLE, _END, _USAGE),
}
