"""The list of conversations in a real browser: places, undo, other devices, search and its hits, paging."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.files import conversation_file, take_in


@pytest.fixture(scope="module")
def konstruct(staged: Running) -> Running:
    return staged


@pytest.fixture
def home(page: Page, konstruct: Running) -> Page:
    """The owner's start page, with an empty list."""
    sign_in(page, konstruct, "owner")
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "csrftoken")
    for archived in ("false", "true"):
        while True:
            found = page.request.get(f"{konstruct.url}/api/conversations?archived={archived}&size=100").json()
            for item in found["items"]:
                page.request.delete(
                    f"{konstruct.url}/api/conversations/{item['id']}", headers={"X-CSRFToken": token}
                )
            if found["next_cursor"] is None:
                break
    page.reload()
    expect(page.get_by_text("No conversations yet.")).to_be_visible()
    return page


@pytest.fixture
def phone(browser: Browser, konstruct: Running) -> Iterator[Page]:
    """The same person's other device."""
    context: BrowserContext = browser.new_context(viewport={"width": 1000, "height": 700})
    page = context.new_page()
    sign_in(page, konstruct, "owner")
    yield page
    context.close()


def rows(page: Page) -> Locator:
    return page.locator("#conversations .row > a")


def titles(page: Page, *expected: str) -> None:
    expect(rows(page)).to_have_text(list(expected))


def do(page: Page, title: str, what: str) -> None:
    """Choose it from the menu of that row."""
    row = page.locator("#conversations .row").filter(has_text=title)
    row.hover()
    row.get_by_role("button").click()
    page.get_by_role("menuitem", name=what, exact=True).click()


def fill(page: Page, *names: str) -> list[str]:
    return [take_in(page, conversation_file(name, f"about {name}", "I see")) for name in names]


def test_renamed_pinned_archived_and_deleted_with_a_way_back(home: Page) -> None:
    # Taken in by this person elsewhere: it appears without a reload.
    fill(home, "First", "Second", "Third")
    titles(home, "Third", "Second", "First")

    do(home, "First", "Pin")
    titles(home, "First", "Third", "Second")
    expect(home.locator("#conversations h2")).to_have_text(["Pinned", "Today"])
    do(home, "First", "Unpin")
    titles(home, "Third", "Second", "First")

    do(home, "Second", "Rename")
    home.get_by_label("Title").fill("Another name")
    home.keyboard.press("Enter")
    titles(home, "Third", "Another name", "First")

    do(home, "Third", "Archive")
    titles(home, "Another name", "First")
    archive = home.get_by_role("button", name="Archived conversations")
    archive.click()
    titles(home, "Third")
    expect(archive).to_have_attribute("aria-pressed", "true")
    do(home, "Third", "Take out of the archive")
    expect(home.get_by_text("Nothing is archived.")).to_be_visible()
    archive.click()
    titles(home, "Third", "Another name", "First")

    do(home, "Another name", "Delete")
    titles(home, "Third", "First")
    expect(home.get_by_role("status").get_by_text("“Another name” was deleted.")).to_be_visible()
    home.get_by_role("button", name="Undo").click()
    titles(home, "Third", "Another name", "First")
    home.reload()
    titles(home, "Third", "Another name", "First")


def test_the_menu_works_by_keyboard_alone(home: Page) -> None:
    fill(home, "Below", "Above")
    titles(home, "Above", "Below")
    rows(home).first.focus()
    home.keyboard.press("Tab")
    home.keyboard.press("Enter")
    menu = home.get_by_role("menu")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    home.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(home.get_by_role("button", name="What to do with “Above”")).to_be_focused()
    home.keyboard.press("Enter")
    home.keyboard.press("End")
    expect(menu.get_by_role("menuitem", name="Delete")).to_be_focused()
    home.keyboard.press("Enter")
    titles(home, "Below")


def test_what_one_device_does_the_other_sees(home: Page, phone: Page, konstruct: Running) -> None:
    first, _ = fill(home, "One", "Two")
    titles(phone, "Two", "One")
    do(phone, "One", "Pin")
    titles(home, "One", "Two")
    do(home, "Two", "Rename")
    home.get_by_label("Title").fill("Zwei")
    home.keyboard.press("Enter")
    titles(phone, "One", "Zwei")
    # Who goes on in it brings it up again; of two open pages of one conversation both learn of the title.
    do(phone, "One", "Unpin")
    home.goto(f"{konstruct.url}/c/{first}")
    home.get_by_label("Your message", exact=True).fill("hello again")
    home.keyboard.press("Enter")
    titles(phone, "One", "Zwei")
    do(phone, "One", "Rename")
    phone.get_by_label("Title").fill("Uno")
    phone.keyboard.press("Enter")
    expect(home.get_by_role("heading", name="Uno")).to_be_visible()
    # A page whose conversation is deleted elsewhere says so.
    expect(home.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
    do(phone, "Uno", "Delete")
    expect(home.get_by_text("This conversation no longer exists.")).to_be_visible()
    titles(home, "Zwei")
    phone.get_by_role("button", name="Undo").click()
    titles(home, "Uno", "Zwei")


def test_a_device_that_was_away_catches_up(home: Page, phone: Page) -> None:
    fill(home, "Before")
    titles(phone, "Before")
    phone.context.set_offline(True)
    fill(home, "Meanwhile")
    titles(home, "Meanwhile", "Before")
    phone.context.set_offline(False)
    titles(phone, "Meanwhile", "Before")


def test_the_conversations_own_menu(home: Page, konstruct: Running) -> None:
    (one,) = fill(home, "Plans")
    home.goto(f"{konstruct.url}/c/{one}")
    menu = home.get_by_label("This conversation", exact=True)
    menu.click()
    home.get_by_role("button", name="Pin", exact=True).click()
    expect(home.locator("#conversations h2").first).to_have_text("Pinned")
    menu.click()
    home.get_by_role("button", name="Archive", exact=True).click()
    expect(home.get_by_text("No conversations yet.")).to_be_visible()
    menu.click()
    home.get_by_role("button", name="Take out of the archive", exact=True).click()
    titles(home, "Plans")
    menu.click()
    home.locator("#delete").click()
    home.locator("#delete-dialog").get_by_role("button", name="Delete").click()
    # Away from it, with the way back.
    home.get_by_role("heading", name="Hello").wait_for()
    home.get_by_role("button", name="Undo").click()
    home.wait_for_url(f"**/c/{one}")
    titles(home, "Plans")


def test_search_marks_its_hits_and_leads_to_the_message(home: Page, konstruct: Running) -> None:
    long = [f"Line {number} of many, and some more words to fill the line." for number in range(300)]
    long[11] = "Here is the **mulberry** among the others."
    take_in(home, conversation_file("Long talk", *long))
    take_in(home, conversation_file("Mulberry jam", "How long does it cook?", "An hour."))
    box = home.get_by_label("Search conversations")
    box.fill("mulber")
    results = home.locator("#conversations .result")
    expect(results).to_have_count(2)
    expect(results.first.locator("mark")).to_have_text("Mulberry")
    expect(home.get_by_role("status").get_by_text("2 conversations found")).to_be_attached()
    hit = results.nth(1).locator(".hit")
    expect(hit.locator("mark")).to_have_text("mulberry")
    # Down into the results by keyboard, and there.
    box.focus()
    home.keyboard.press("ArrowDown")
    home.keyboard.press("ArrowDown")
    home.keyboard.press("ArrowDown")
    expect(hit).to_be_focused()
    home.keyboard.press("Enter")
    home.wait_for_url(re.compile(r"/c/[0-9a-f-]+\?message="))
    found = home.locator("#log article").filter(has_text="Here is the mulberry")
    expect(found).to_be_in_viewport()
    expect(found).to_be_focused()
    # What is around it is there; older and newer come by scrolling.
    expect(home.locator("#log article").filter(has_text="Line 12 of many")).to_be_in_viewport()
    home.get_by_role("button", name="Newest").click()
    expect(home.locator("#log article").filter(has_text="Line 299 of many")).to_be_in_viewport()
    expect(found).not_to_be_in_viewport()

    box = home.get_by_label("Search conversations")
    box.fill("nothing like this")
    expect(home.locator("#conversations").get_by_text("Nothing found.")).to_be_visible()
    box.focus()
    home.keyboard.press("Escape")
    titles(home, "Mulberry jam", "Long talk")


def test_a_hit_on_another_branch_selects_it(home: Page, konstruct: Running) -> None:
    file = conversation_file("Branches", "What is it?", "A medlar.", "And else?", "Nothing else.")
    # Another answer to the first question, and what followed it, is the branch in use.
    for number, parent, role, text in ((5, 1, "assistant", "A quince."), (6, 5, "user", "Thank you.")):
        file["messages"].append(
            {**file["messages"][1], "id": number, "parent": parent, "role": role, "text": text}
        )
    file["leaf"] = 6
    one = take_in(home, file)
    home.goto(f"{konstruct.url}/c/{one}")
    expect(home.locator("#log article")).to_have_count(3)
    home.get_by_label("Search conversations").fill("medlar")
    home.locator("#conversations .hit").click()
    found = home.locator("#log article").filter(has_text="A medlar.")
    expect(found).to_be_focused()
    expect(home.locator("#log article")).to_have_count(4)
    expect(home.get_by_role("group", name="Version 1 of 2")).to_be_visible()


def test_a_long_list_is_fetched_as_one_scrolls(home: Page) -> None:
    for number in range(70):
        take_in(home, conversation_file(f"Number {number}", "x", "y"))
    home.reload()
    expect(rows(home)).to_have_count(30)
    asked: list[str] = []
    home.on(
        "request", lambda request: asked.append(request.url) if "/api/conversations?" in request.url else None
    )
    for _ in range(4):
        home.locator("#conversations").evaluate("box => box.scrollTo(0, box.scrollHeight)")
        home.wait_for_timeout(50)
    expect(rows(home)).to_have_count(70)
    expect(rows(home).last).to_have_text("Number 0")
    pages = len(asked)
    # A message patches the list; nothing is fetched for it.
    open_conversation(home, "Ada")
    asked.clear()
    home.get_by_label("Your message", exact=True).fill("one")
    home.keyboard.press("Enter")
    expect(home.get_by_label("Stop the answer")).to_be_visible()
    expect(home.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
    before = len(asked)
    home.get_by_label("Your message", exact=True).fill("two")
    home.keyboard.press("Enter")
    expect(home.locator("#log article")).to_have_count(4)
    expect(home.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
    assert pages <= 4 and len(asked) == before
