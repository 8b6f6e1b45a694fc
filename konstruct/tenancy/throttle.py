"""A limit on guessing passwords: so many attempts for one e-mail from one address, then a pause.

Counted in Django's cache, so in each server process for itself.
"""

import hashlib

from django.core.cache import cache

ATTEMPTS = 10
WINDOW = 15 * 60


class SignInThrottle:
    """The attempts to sign in as `email` from `address` within WINDOW seconds of the first."""

    def __init__(self, *, email: str, address: str) -> None:
        # Hashed: the name is of a safe form and length whatever was typed.
        who = hashlib.sha256(f"{email.strip().lower()}\n{address}".encode("utf-8", "replace")).hexdigest()
        self._key = f"sign-in:{who}"

    def allow(self) -> bool:
        """Count an attempt; False if it is one too many and the password must not be looked at.

        Counted before the password is checked, so that attempts made at once do not slip through.
        """
        cache.add(self._key, 0, WINDOW)
        try:
            return cache.incr(self._key) <= ATTEMPTS
        except ValueError:
            # It expired this very moment: this attempt is the first of a new window.
            cache.set(self._key, 1, WINDOW)
            return True

    def clear(self) -> None:
        """Forget the attempts: the person has signed in."""
        cache.delete(self._key)
