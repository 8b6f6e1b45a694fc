"""Who acts in a test, as plain values."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from konstruct.tenancy.tokens import TTL, issue_token


@dataclass(frozen=True)
class Place:
    """A workspace."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True)
class Person:
    """A user as a member of one workspace."""

    id: str
    email: str
    name: str
    role: str
    place: Place

    def auth(self, *, session: str | None = None, ttl: int = TTL, **claims: Any) -> dict[str, Any]:
        """The auth frame of this person, with other claims where they are given."""
        token = issue_token(
            user_id=UUID(self.id), workspace_id=UUID(self.place.id), session_key=session, ttl=ttl
        )
        honest = {
            "type": "auth",
            "userId": self.id,
            "role": self.role,
            "tenantId": self.place.id,
            "token": token,
        }
        return {**honest, **claims}


@dataclass(frozen=True)
class Seat:
    """A person in a conversation of their own, with the employee who answers there."""

    person: Person
    conversation: str
    agent: str
