"""My account in real browsers: appearance, language, password, sessions."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.people import PASSWORD, WITHDRAWN, Visit, invite, join, talk, visit

__all__ = ["visit"]

DARK, LIGHT = "rgb(20, 23, 22)", "rgb(250, 248, 244)"


@pytest.fixture(scope="module")
def _people() -> list[str]:
    return []


@pytest.fixture
def somebody(visit: Visit, staged: Running, _people: list[str]) -> tuple[Page, str]:
    """A new member, signed in, and their e-mail."""
    owner, page = visit(), visit()
    sign_in(owner, staged, "owner")
    email = f"account{len(_people)}@demo.example"
    _people.append(email)
    join(page, invite(owner, staged), "Sam", email)
    return page, email


def enter(page: Page, staged: Running, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{staged.url}/sign-in/")
    page.locator("#id_username").fill(email)
    page.locator("#id_password").fill(password)
    page.locator("form button").click()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_the_appearance_is_kept_and_there_from_the_first_paint(visit: Visit, staged: Running) -> None:
    page = visit()
    sign_in(page, staged, "member")
    page.goto(f"{staged.url}/account/")
    assert background(page) == LIGHT
    # Shown as soon as it is chosen.
    page.get_by_role("radio", name="Dark").check()
    assert background(page) == DARK
    save(page)
    assert background(page) == DARK
    page.goto(staged.url)
    assert background(page) == DARK
    # In another browser, whose system likes light; without any script, so from the start.
    other = visit(java_script_enabled=False)
    account = staged.account("member")
    enter(other, staged, account["email"], account["password"])
    other.goto(f"{staged.url}/account/")
    assert background(other) == DARK
    other.get_by_role("radio", name="As my system").check()
    save(other)
    assert background(other) == LIGHT
    other.emulate_media(color_scheme="dark")
    assert background(other) == DARK


def test_spanish_once_chosen_is_spoken_everywhere(visit: Visit, browser: Browser, staged: Running) -> None:
    page = visit()
    sign_in(page, staged, "member")
    page.goto(f"{staged.url}/account/")
    page.get_by_label("Language").select_option("es")
    page.locator("#profile button").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    page.goto(staged.url)
    expect(page.locator("html")).to_have_attribute("lang", "es")
    page.goto(f"{staged.url}/account/")
    page.locator("#id_language").select_option("")
    page.locator("#profile button").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    context = browser.new_context(locale="es-MX")
    stranger = context.new_page()
    stranger.goto(f"{staged.url}/sign-in/")
    expect(stranger.locator("html")).to_have_attribute("lang", "es")
    context.close()


def test_a_new_password_keeps_this_browser_talking_and_ends_the_other(
    somebody: tuple[Page, str], visit: Visit, staged: Running
) -> None:
    page, email = somebody
    open_conversation(page, "Bruno")
    talk(page, "one two three")
    other = visit()
    enter(other, staged, email)
    other.goto(page.url)
    expect(other.locator("#log article")).to_have_count(2)

    settings = page.context.new_page()
    settings.goto(f"{staged.url}/account/")
    settings.get_by_label("Present password").fill(PASSWORD)
    settings.get_by_label("New password", exact=True).fill("another-Password-9")
    settings.get_by_role("button", name="Change password").click()
    expect(settings.get_by_text("Your password is changed.")).to_be_visible()
    expect(other.get_by_text(WITHDRAWN)).to_be_visible()
    # The conversation that lay open in this browser is connected again, with the session's new key.
    expect(page.get_by_text(WITHDRAWN)).to_be_hidden(timeout=60_000)
    talk(page, "four five six")


def test_a_session_is_ended_and_then_all_are(
    somebody: tuple[Page, str], visit: Visit, staged: Running
) -> None:
    page, email = somebody
    open_conversation(page, "Bruno")
    phone = visit(
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
    )
    enter(phone, staged, email)
    phone.goto(page.url)
    phone.get_by_placeholder("Message Bruno").wait_for()

    settings = page.context.new_page()
    settings.goto(f"{staged.url}/account/")
    expect(settings.get_by_text("Safari on iPhone")).to_be_visible()
    expect(settings.get_by_role("listitem").filter(has_text="this session")).to_contain_text(
        "Chrome on Linux"
    )
    settings.get_by_role("button", name="End the session: Safari on iPhone").click()
    expect(settings.get_by_text("That session has ended.")).to_be_visible()
    expect(settings.get_by_text("Safari on iPhone")).to_have_count(0)
    expect(phone.get_by_text(WITHDRAWN)).to_be_visible()
    talk(page, "one two three")

    # Signed in again in another tab, the page that was closed is alive again once it is looked at.
    tab = phone.context.new_page()
    enter(tab, staged, email)
    tab.get_by_role("heading", name="Hello").wait_for()
    phone.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(phone.get_by_text(WITHDRAWN)).to_be_hidden(timeout=10_000)

    settings.get_by_role("button", name="Sign out everywhere").click()
    expect(settings.get_by_role("heading", name="Sign in")).to_be_visible()
    for gone in (page, phone):
        expect(gone.get_by_text(WITHDRAWN)).to_be_visible()
