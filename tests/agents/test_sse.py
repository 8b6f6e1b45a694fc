"""Server-sent events in any pieces are those of the whole, by WHATWG's rules."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import sse
from agents.errors import Transport
from agents.sse import EventStream

LINES = b"data: x|data:y|data|data:|data:  z|: note|:|event: e|id: 1|datax: 1"
FRAGMENTS = st.sampled_from(
    [
        *LINES.split(b"|"),
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        "é漢😀".encode(),
        b" ",
        b"\xef\xbb\xbf",
        b"\xef",
    ]
)
STREAMS = st.builds(
    lambda mark, parts: mark + b"".join(parts), st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(FRAGMENTS)
)


def by_the_book(stream: bytes) -> list[bytes]:
    """HTML, 9.2.6, line by line, of a stream that is there as a whole."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    *lines, _unended = re.split(rb"\r\n|\n|\r", stream)
    events: list[bytes] = []
    data: list[bytes] = []
    for line in lines:
        if not line:
            if data:
                events.append(b"\n".join(data))
            data = []
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value[1:] if value.startswith(b" ") else value)
    return events


def read(pieces: list[bytes]) -> list[bytes]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


@given(STREAMS, st.lists(st.integers(0, 80)))
def test_any_cuts(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert read([stream[start:end] for start, end in pairwise(places)]) == by_the_book(stream)


@given(STREAMS)
def test_byte_by_byte(stream: bytes) -> None:
    assert read([stream[i : i + 1] for i in range(len(stream))]) == by_the_book(stream)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata:b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": keep-alive\n\n: again\ndata: a\n\n\n\n", [b"a"]),
        (b"event: x\nid: 1\nretry: 5\n\n", []),
        (b"data\n\ndata:\n\n", [b"", b""]),
        (b"data: a\n\ndata: cut", [b"a"]),
    ],
)
def test_the_rules(stream: bytes, events: list[bytes]) -> None:
    assert read([stream]) == events


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    stream = EventStream()
    stream.feed(b"data: " + b"x" * 900)
    with pytest.raises(Transport):
        stream.feed(b"x" * 200)
