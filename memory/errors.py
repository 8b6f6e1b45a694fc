"""What can go wrong with memories. Those a person may see carry a `sentence`."""


class MemoryNotFound(LookupError):
    """There is no such memory for this user: unknown, forgotten, or someone else's."""

    sentence = "There is no such memory."


class InvalidText(ValueError):
    """A text of one's own is one to `memory.values.MAX_NOTE` characters after trimming."""

    sentence = "A memory has 1 to 2,000 characters."


class SecretText(ValueError):
    """A text of one's own holds what must not be remembered (`memory.hygiene`)."""

    sentence = "This looks like a password, key or card number, which is never remembered."


class InvalidCursor(ValueError):
    """The cursor was not made by `memory.pages`."""

    sentence = "This cursor is not one that an earlier page gave."


class EmbedderChanged(RuntimeError):
    """A vector was made with another embedder than the workspace uses now: embed anew and try again.

    It happens when `manage.py reembed` ends in between. `embedder` is the one in use.
    """

    def __init__(self, embedder: str) -> None:
        super().__init__(f"The workspace's embedder is {embedder} now.")
        self.embedder = embedder


class EmbeddingError(RuntimeError):
    """An embedding model gave no usable vector; the sentence is for who set it up."""
