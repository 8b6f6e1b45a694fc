"""What is recalled, of whom, and in which order."""

from tests.memory.conftest import Person


def test_what_was_said_is_recalled_by_what_it_means(ana: Person) -> None:
    ana.told("The user is allergic to peanuts")
    ana.told("The user's office is in Girona")
    assert "peanuts" in ana.recalled_texts("What food am I allergic to?")[0]
