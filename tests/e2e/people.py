"""What several people do, each in a browser of their own."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Running

PASSWORD = "a-long-Password-1"
WITHDRAWN = "You no longer have access here."

Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """`visit()`: the page of another person in a browser of their own; options as of a Playwright context."""
    contexts = []
    complaints: list[str] = []

    def make(**options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda m: complaints.append(m.text) if "Content Security Policy" in m.text else None
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def invite(page: Page, konstruct: Running, *, email: str = "", role: str = "member") -> str:
    """Make an invitation by the page; out comes its link."""
    page.goto(f"{konstruct.url}/people/")
    page.get_by_label("E-mail (optional)").fill(email)
    page.get_by_label("Role", exact=True).select_option(role)
    page.get_by_role("button", name="Make a link").click()
    return page.get_by_label("Invitation link").input_value()


def join(page: Page, link: str, name: str, email: str | None) -> None:
    page.goto(link)
    expect(page.get_by_role("heading", name="Join Demo")).to_be_visible()
    page.get_by_label("Your name").fill(name)
    if email:
        page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Make an account and join").click()
    expect(page.get_by_role("heading", name=f"Hello, {name}")).to_be_visible()


def talk(page: Page, text: str) -> None:
    page.get_by_label("Your message", exact=True).fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("#log article").last).to_contain_text(text, timeout=30_000)
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)


def open_card(page: Page, konstruct: Running, name: str) -> None:
    page.goto(f"{konstruct.url}/people/")
    page.get_by_role("button", name=f"Change {name}").click()
    expect(page.get_by_role("dialog", name=name)).to_be_visible()
