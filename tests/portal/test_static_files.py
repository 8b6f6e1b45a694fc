"""The browser libraries as static files: those that pages name, and no others of their packages."""

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders

from konstruct.staticfiles import VendorFinder


@pytest.mark.parametrize("name", settings.VENDOR_FILES)
def test_a_library_is_found_by_the_name_pages_use(name: str) -> None:
    found = finders.find(f"vendor/{name}")
    assert found == str(settings.NODE_MODULES / settings.VENDOR_FILES[name])


def test_only_what_is_named_is_collected() -> None:
    listed = {f"{storage.prefix}/{path}" for path, storage in VendorFinder().list([])}  # type: ignore[attr-defined]
    assert listed == {f"vendor/{name}" for name in settings.VENDOR_FILES}
    assert finders.find("vendor/katex/katex.mjs") is None
