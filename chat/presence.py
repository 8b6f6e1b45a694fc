"""Who is connected to this process, so that whoever loses access loses the socket at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chat.limits import Counter
from chat.protocol import Close
from konstruct.tenancy.access import Withdrawn
from konstruct.tenancy.sockets import Identity

# Called with the close code.
Dismiss = Callable[[int], None]


class Presence:
    """Authenticated sockets, each with what closes it. Used on the event loop only."""

    def __init__(self, *, connections_per_user: int) -> None:
        self._present: dict[object, tuple[Identity, Dismiss]] = {}
        self._places = Counter(connections_per_user)
        self._watchers: list[list[Withdrawn]] = []

    @contextmanager
    def watching(self) -> Iterator[list[Withdrawn]]:
        """What is withdrawn while this lasts: for a socket whose access is being checked meanwhile.

        Listen first, then read: else what ends between the read and `enter` would be missed.
        """
        heard: list[Withdrawn] = []
        self._watchers.append(heard)
        try:
            yield heard
        finally:
            # By identity: all that heard the same are equal, and it is another one's that would go.
            self._watchers = [other for other in self._watchers if other is not heard]

    def enter(self, who: object, identity: Identity, dismiss: Dismiss) -> bool:
        """Note the socket. False: its user has too many."""
        if not self._places.enter(identity.user_id):
            return False
        self._present[who] = (identity, dismiss)
        return True

    def leave(self, who: object) -> None:
        entry = self._present.pop(who, None)
        if entry is not None:
            self._places.leave(entry[0].user_id)

    def withdraw(self, withdrawn: Withdrawn) -> None:
        """Dismiss everybody whom this concerns."""
        for heard in self._watchers:
            heard.append(withdrawn)
        for identity, dismiss in tuple(self._present.values()):
            if concerns(withdrawn, identity):
                dismiss(Close.ACCESS_WITHDRAWN)

    def dismiss_identities(self, gone: set[Identity]) -> None:
        for identity, dismiss in tuple(self._present.values()):
            if identity in gone:
                dismiss(Close.ACCESS_WITHDRAWN)

    def dismiss_all(self, code: int) -> None:
        for _, dismiss in tuple(self._present.values()):
            dismiss(code)

    def identities(self) -> set[Identity]:
        return {identity for identity, _ in self._present.values()}

    def __len__(self) -> int:
        return len(self._present)


def concerns(withdrawn: Withdrawn, identity: Identity) -> bool:
    return withdrawn.concerns(
        user=str(identity.user_id), workspace=str(identity.workspace.id), session=identity.session
    )
