"""Limits on trying: so many attempts by one person from one address, then a pause.

Counted in Django's cache, so in each server process for itself.
"""

import hashlib

from django.core.cache import cache

ATTEMPTS = 10
WINDOW = 15 * 60


class Throttle:
    """The attempts at `what` by those whom `who` names, within WINDOW seconds of the first."""

    def __init__(self, what: str, *who: str) -> None:
        # Hashed: the name is of a safe form and length whatever was typed.
        digest = hashlib.sha256("\n".join(who).encode("utf-8", "replace")).hexdigest()
        self._key = f"{what}:{digest}"

    def allow(self) -> bool:
        """Count an attempt; False if it is one too many and the secret must not be looked at.

        Counted before the secret is checked, so that attempts made at once do not slip through.
        """
        cache.add(self._key, 0, WINDOW)
        try:
            return cache.incr(self._key) <= ATTEMPTS
        except ValueError:
            # It expired this very moment: this attempt is the first of a new window.
            cache.set(self._key, 1, WINDOW)
            return True

    def clear(self) -> None:
        """Forget the attempts: one has succeeded."""
        cache.delete(self._key)


class SignInThrottle(Throttle):
    """The attempts to sign in as `email` from `address`."""

    def __init__(self, *, email: str, address: str) -> None:
        super().__init__("sign-in", email.strip().lower(), address)
