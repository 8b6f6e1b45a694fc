"""What a browser says of itself, in words that its owner recognises. A claim, and good for nothing else."""

from django.utils.translation import gettext as _
from msgspec import Struct

# In this order: each browser names those it wants to be taken for.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_HANDHELD = ("iPhone", "iPad", "Android")


class Device(Struct, frozen=True):
    """A browser on a system; either is empty where it is not known."""

    browser: str
    system: str

    @property
    def name(self) -> str:
        if self.browser and self.system:
            return _("%(browser)s on %(system)s") % {"browser": self.browser, "system": self.system}
        return self.browser or self.system or _("Unknown device")

    @property
    def is_handheld(self) -> bool:
        return self.system in _HANDHELD


def device(user_agent: str) -> Device:
    """The device that sends this User-Agent header (RFC 9110, 10.1.5)."""
    return Device(_first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent))


def _first(marks: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for mark, name in marks if mark in user_agent), "")
