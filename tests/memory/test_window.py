"""The window: what of a branch is shown again, and what never is."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.window import Line, Said, Window, count


def branch(*texts: str, base: UUID | None = None) -> tuple[Said, ...]:
    """Questions and answers in turn; "" is an answer that failed."""
    said: list[Said] = []
    for index, text in enumerate(texts):
        parent = said[-1].id if said else base
        said.append(Said(uuid4(), parent, "assistant" if index % 2 else "user", text))
    return tuple(said)


def shown(window: Window, budget: int = 10_000) -> list[tuple[str, str]]:
    return [(line.role, line.text) for line in window.lines(budget)]


def test_all_that_fits_is_shown_oldest_first() -> None:
    assert shown(Window(branch("a", "b", "c", "d"))) == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ]


def test_the_newest_exchanges_are_kept_whole() -> None:
    window = Window(branch("a" * 40, "b" * 40, "c" * 40, "d" * 40, "e" * 40, "f" * 40))
    exchange = 2 * (10 + 4)
    assert shown(window, 2 * exchange) == shown(window)[2:]
    assert shown(window, 2 * exchange - 1) == shown(window)[4:]
    assert shown(window, exchange - 1) == []


def test_one_that_is_too_long_ends_the_window() -> None:
    """Without a gap: what comes before it would be an answer to another question."""
    assert shown(Window(branch("old", "old", "x" * 4000, "y", "new", "new")), 100) == [
        ("user", "new"),
        ("assistant", "new"),
    ]


def test_a_failed_answers_question_stands_together_with_the_next() -> None:
    assert shown(Window(branch("one", "", "two", "", "three", "ok"))) == [
        ("user", "one\n\ntwo\n\nthree"),
        ("assistant", "ok"),
    ]


def test_what_is_said_again_word_for_word_is_said_once() -> None:
    assert shown(Window(branch("one", "", "two", "", "two", "ok"))) == [
        ("user", "one\n\ntwo"),
        ("assistant", "ok"),
    ]


def test_it_may_end_with_a_question_and_never_begins_with_an_answer() -> None:
    assert shown(Window(branch("one", ""))) == [("user", "one")]
    greeting = Said(uuid4(), None, "assistant", "Hello")
    question = Said(uuid4(), greeting.id, "user", "one")
    assert shown(Window((greeting, question))) == [("user", "one")]


def test_it_can_be_cut_at_each_message_it_holds() -> None:
    base = uuid4()
    said = branch("a", "b", "c", "d", base=base)
    window = Window(said, base, "Earlier: z.")
    assert window.held == {base, *(one.id for one in said)}
    assert window.upto(said[1].id) == Window(said[:2], base, "Earlier: z.")
    assert window.upto(base) == Window((), base, "Earlier: z.")
    assert window.upto(base).leaf_id == base
    with pytest.raises(KeyError):
        window.upto(uuid4())


def test_it_knows_whether_a_message_is_missing() -> None:
    base = uuid4()
    said = branch("a", "b", "c", "d", base=base)
    assert Window(said, base).is_linked
    assert not Window(said, None).is_linked
    assert not Window(said[1:], base).is_linked
    assert not Window((*said[:1], *said[2:]), base).is_linked
    assert Window((), base).is_linked


def test_tokens_are_counted_as_in_a_prompt() -> None:
    from agents import tokens
    from agents.types import PromptMessage

    for text in ("", "abc", "Größe", "漢字漢字", "👩‍👩‍👧", "\ud83d"):
        assert count(text) == tokens.count(text)
    window = Window(branch("question", "answer"))
    messages = [PromptMessage(line.role, line.text) for line in window.lines(1000)]
    assert window.tokens == tokens.count_messages(messages)


@given(
    texts=st.lists(st.text(alphabet="ab ", max_size=60), max_size=24),
    first=st.booleans(),
    budget=st.integers(0, 400),
)
def test_whatever_was_said_speakers_take_turns_within_the_budget(
    texts: list[str], first: bool, budget: int
) -> None:
    """Against the plain rule: the longest end that fits and begins with a question."""
    said: list[Said] = []
    for index, text in enumerate(texts):
        role = "assistant" if (index + first) % 2 else "user"
        text = text or ("?" if role == "user" else "")  # only answers can be missing
        said.append(Said(uuid4(), said[-1].id if said else None, role, text))  # type: ignore[arg-type]
    lines = Window(tuple(said)).lines(budget)
    assert [line.role for line in lines] == ["user", "assistant"] * (len(lines) // 2) + ["user"] * (
        len(lines) % 2
    )
    assert _plain(said, budget) == lines


def _plain(said: list[Said], budget: int) -> tuple[Line, ...]:
    starts = [index for index, one in enumerate(said) if one.role == "user"]
    for start in starts:
        if sum(one.tokens for one in said[start:]) <= budget:
            lines: list[list[str]] = []
            roles: list[str] = []
            for one in said[start:]:
                if not one.text:
                    continue
                if roles and roles[-1] == one.role:
                    if lines[-1][-1] != one.text:
                        lines[-1].append(one.text)
                else:
                    roles.append(one.role)
                    lines.append([one.text])
            return tuple(
                Line(role, "\n\n".join(parts))  # type: ignore[arg-type]
                for role, parts in zip(roles, lines, strict=True)
            )
    return ()
