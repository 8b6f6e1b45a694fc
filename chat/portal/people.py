"""Employees as the portal shows them: a coloured disc with initials beside the name."""

from uuid import UUID

from msgspec import Struct

from agents.models import Agent
from konstruct.tenancy.people import initials

DARK_INK, LIGHT_INK = "#16181d", "#ffffff"


class Face(Struct, frozen=True):
    """An employee's public side. `ink` is the initials' colour, the one that reads better on `color`."""

    id: UUID
    name: str
    title: str
    color: str
    ink: str
    initials: str
    greeting: str
    starters: tuple[str, ...]
    is_active: bool


def face(agent: Agent) -> Face:
    return Face(
        id=agent.id,
        name=agent.name,
        title=agent.title,
        color=agent.color,
        ink=ink_on(agent.color),
        initials=initials(agent.name),
        greeting=agent.greeting,
        starters=tuple(agent.starters),
        is_active=agent.is_active,
    )


def ink_on(color: str) -> str:
    """Dark or light ink, whichever has the greater contrast on a colour like #4f46e5 (WCAG 2.2, 1.4.3)."""
    luminance = _luminance(color)
    on_light, on_dark = 1.05 / (luminance + 0.05), (luminance + 0.05) / (_luminance(DARK_INK) + 0.05)
    return LIGHT_INK if on_light >= on_dark else DARK_INK


def _luminance(color: str) -> float:
    """Relative luminance of an sRGB colour, 0 (black) to 1 (white), as WCAG defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
