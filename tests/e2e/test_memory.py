"""What people see of memory, in a real browser: told in one conversation, seen on the page, forgotten.

The model is the fake upstream's `distiller`: it says the question back, and finds a fact in each "I am ...".
What is remembered is remembered by the worker's jobs.
"""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.scene import Scene

# Asks the API as the page does.
CALL = """
async ([method, path, body]) => {
    const token = /csrftoken=([^;]*)/.exec(document.cookie)[1];
    const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
    const response = await fetch(`/api${path}`, { method, headers, body: body && JSON.stringify(body) });
    return response.status === 204 ? null : response.json();
}
"""
# Waits until so many memories are known; out comes how many there are in the end.
COUNT = """
async (wanted) => {
    for (let tries = 300; ; tries -= 1) {
        const { total } = await (await fetch("/api/memories/counts")).json();
        if (total === wanted || !tries) return total;
        await new Promise((later) => setTimeout(later, 200));
    }
}
"""
FACT = "The user is allergic to peanuts."


@pytest.fixture(scope="module")
def konstruct(staged: Running) -> Running:
    Scene(staged.home).employ(Ada="distiller")
    return staged


@pytest.fixture
def person(page: Page, konstruct: Running) -> Page:
    """Signed in as a member of whom nothing is remembered, and with memory on everywhere."""
    sign_in(page, konstruct, "member")
    off = call(page, "GET", "/memories/off")
    for name in ("agent_id", "conversation_id"):
        for one in off[f"{name}s"]:
            call(page, "PUT", "/memories/off", {name: one, "off": False})
    call(page, "DELETE", "/memories")
    return page


def call(page: Page, method: str, path: str, body: Any = None) -> Any:
    return page.evaluate(CALL, [method, path, body])


def tell(page: Page, text: str) -> None:
    """Say it to Ada in the conversation that is open, and wait for the answer."""
    answers = page.locator("#log article.is-answer").count()
    page.get_by_label("Your message", exact=True).fill(text)
    page.keyboard.press("Enter")
    answer = page.locator("#log article.is-answer").nth(answers)
    expect(answer).to_contain_text(text)
    expect(answer).to_have_attribute("aria-busy", "false")


def remembered(page: Page, count: int) -> None:
    """Wait until so many memories have been made by the jobs."""
    assert page.evaluate(COUNT, count) == count


def told(page: Page, konstruct: Running, text: str = "I am allergic to peanuts.", count: int = 2) -> str:
    """A new conversation with Ada in which this was said and remembered; out comes its address."""
    page.goto(konstruct.url)
    open_conversation(page, "Ada")
    tell(page, text)
    remembered(page, count)
    return page.url


def visit(page: Page, konstruct: Running) -> Locator:
    """The memory page; out comes Ada's part of it."""
    page.goto(f"{konstruct.url}/memory")
    # Until the page is painted, Chromium takes no keys.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.get_by_role("region", name="Ada")


def memory(where: Page | Locator, text: str) -> Locator:
    return where.locator("li.memory", has_text=text)


def focused(page: Page) -> str:
    """What has the focus, by its name or else its id."""
    name: str = page.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"
    )
    return name


def open_menu(page: Page) -> None:
    page.get_by_label("This conversation", exact=True).click()


def test_what_was_said_is_seen_corrected_and_forgotten(person: Page, konstruct: Running) -> None:
    page = person
    address = told(page, konstruct)
    page.get_by_label("Account").click()
    page.get_by_role("link", name="Memory", exact=True).click()
    ada = page.get_by_role("region", name="Ada")
    fact, exchange = memory(ada, FACT), memory(ada, "Ada: I am allergic")
    expect(fact).to_have_count(1)
    expect(exchange).to_have_count(1)
    assert address.endswith(fact.get_by_role("link").get_attribute("href") or "nowhere")

    edit = fact.get_by_role("button", name="Edit")
    edit.focus()
    page.keyboard.press("Enter")
    page.get_by_label("What is to be remembered").fill("never mind")
    page.keyboard.press("Escape")
    expect(fact).to_have_count(1)
    page.keyboard.press("Enter")
    page.get_by_label("What is to be remembered").fill("No nuts at all, please.")
    page.keyboard.press("Control+Enter")
    mine = memory(ada, "No nuts at all, please.")
    expect(mine).to_contain_text("in your own words")
    expect(page.locator("#announce")).to_have_text("Saved.")
    assert focused(page) == "Edit: No nuts at all, please."
    page.reload()
    expect(mine).to_have_count(1)

    # With a fact goes the exchange that said it.
    mine.get_by_role("button", name="Forget").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#announce")).to_have_text("Forgotten.")
    expect(ada.locator("li.memory")).to_have_count(0)
    expect(ada).to_contain_text("Ada remembers nothing of you yet.")
    assert focused(page).startswith("known-")
    page.reload()
    expect(page.get_by_role("heading", name="Nothing is remembered of you yet")).to_be_visible()
    assert call(page, "GET", "/memories")["items"] == []


def test_the_focus_goes_to_the_next_memory(person: Page, konstruct: Running) -> None:
    page = person
    told(page, konstruct, "I am allergic to peanuts. I am born in Oslo. I am left-handed.", 4)
    ada = visit(page, konstruct)
    texts = [FACT, "The user is born in Oslo.", "The user is left-handed."]
    shown = [text for text in ada.locator("li.memory .memory-text").all_inner_texts() if text in texts]
    assert len(shown) == 3
    # One fact of an exchange takes the exchange along; those that nothing else says follow.
    edited = memory(ada, shown[0])
    edited.get_by_role("button", name="Forget").click()
    expect(edited).to_have_count(0)
    assert re.match(r"Forget: |known-", focused(page))
    assert page.evaluate("document.activeElement !== document.body")


def test_an_answer_shows_what_it_was_given(person: Page, konstruct: Running) -> None:
    page = person
    told(page, konstruct)
    page.goto(konstruct.url)
    open_conversation(page, "Ada")
    tell(page, "Which peanuts am I allergic to?")
    given = page.locator("details.given")
    expect(given.locator("summary")).to_have_text(re.compile(r"^\d memor(y|ies)$"))
    given.locator("summary").focus()
    page.keyboard.press("Enter")
    row = given.get_by_role("link", name=f"Look at it: {FACT}")
    expect(row).to_be_visible()
    # Another time it comes with the page, not with the frame.
    page.reload()
    given.locator("summary").click()
    row.click()

    asked = page.get_by_role("region", name="The memory you asked for")
    expect(memory(asked, FACT)).to_have_count(1)
    asked.get_by_role("button", name="Forget").click()
    expect(asked).to_contain_text("It has been forgotten.")
    expect(memory(page, FACT)).to_have_count(0)
    page.go_back()
    given.locator("summary").click()
    expect(given.get_by_text("Forgotten since then.").first).to_be_visible()
    expect(row).to_have_count(0)


def test_memory_is_switched_off_in_a_conversation(person: Page, konstruct: Running) -> None:
    page = person
    page.goto(konstruct.url)
    open_conversation(page, "Ada")
    expect(page.locator("#memory-off")).to_be_hidden()
    open_menu(page)
    switch = page.get_by_role("switch", name="Remember what is said here")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(page.locator("#memory-off")).to_be_visible()
    tell(page, "I am fond of secrets.")
    page.reload()
    expect(page.locator("#memory-off")).to_be_visible()
    open_menu(page)
    switch.click()
    expect(page.locator("#memory-off")).to_be_hidden()
    tell(page, "I am fond of daylight.")
    # Jobs of one conversation go by its order: had there been one for the first, it would be done by now.
    remembered(page, 2)
    kept = str([memory["text"] for memory in call(page, "GET", "/memories")["items"]])
    assert "daylight" in kept and "secrets" not in kept


def test_memory_is_switched_off_for_an_employee(person: Page, konstruct: Running) -> None:
    page = person
    told(page, konstruct)
    ada = visit(page, konstruct)
    switch = ada.get_by_role("switch", name="Ada remembers what you say")
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(ada).to_contain_text("Memory is off")
    page.reload()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(memory(ada, FACT)).to_have_count(1)

    page.goto(konstruct.url)
    open_conversation(page, "Ada")
    expect(page.locator("#memory-off")).to_be_visible()
    tell(page, "Which peanuts am I allergic to?")
    expect(page.locator("details.given")).to_be_hidden()
    visit(page, konstruct)
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(ada).not_to_contain_text("Memory is off")


def test_deleting_a_conversation_asks_about_its_memories(person: Page, konstruct: Running) -> None:
    page = person
    told(page, konstruct, "I am left-handed.")
    told(page, konstruct, "I am allergic to peanuts.", 4)
    open_menu(page)
    page.get_by_role("button", name="Delete", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    also = dialog.get_by_label("Also forget what was remembered from it, for good (2 memories)")
    expect(also).not_to_be_checked()
    also.check()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Hello")).to_be_visible()
    ada = visit(page, konstruct)
    expect(memory(ada, "left-handed")).to_have_count(2)
    expect(memory(ada, "peanuts")).to_have_count(0)

    # The other one goes without: what it told stays, from a conversation that is no more.
    page.goto(konstruct.url)
    href = memory(visit(page, konstruct), "The user is left-handed").get_by_role("link").get_attribute("href")
    page.goto(f"{konstruct.url}{href}")
    open_menu(page)
    page.get_by_role("button", name="Delete", exact=True).first.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Hello")).to_be_visible()
    expect(memory(visit(page, konstruct), "The user is left-handed")).to_contain_text(
        "a deleted conversation"
    )


def test_searching_and_forgetting_everything(person: Page, konstruct: Running) -> None:
    page = person
    told(page, konstruct, "I am left-handed.")
    told(page, konstruct, "I am allergic to peanuts.", 4)
    visit(page, konstruct)
    search = page.get_by_label("Search what is remembered of you")
    search.fill("PEANUT")
    found = page.get_by_role("region", name="Found")
    expect(found.locator("li.memory")).to_have_count(2)
    expect(memory(found, FACT)).to_contain_text("Ada")
    memory(found, FACT).get_by_role("button", name="Forget").click()
    expect(found).to_contain_text("Nothing found.")
    search.fill("")
    expect(page.get_by_role("region", name="Ada").locator("li.memory")).to_have_count(2)

    page.get_by_role("button", name="Forget everything").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 memories will be gone, for good.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert call(page, "GET", "/memories/counts")["total"] == 2
    page.get_by_role("button", name="Forget everything").click()
    dialog.get_by_role("button", name="Forget").click()
    expect(page.get_by_role("heading", name="Nothing is remembered of you yet")).to_be_visible()
    assert focused(page) == "memory-head"
    assert call(page, "GET", "/memories/counts")["total"] == 0


def test_shared_notes_are_read_by_all_and_written_by_owners(
    person: Page, konstruct: Running, browser: Browser
) -> None:
    context = browser.new_context()
    owner = context.new_page()
    sign_in(owner, konstruct, "owner")
    owner.goto(f"{konstruct.url}/memory")
    notes = owner.get_by_role("region", name="Shared in")
    notes.get_by_label("A new note").fill("The canteen closes at two.")
    notes.get_by_label("For").select_option(label="Ada")
    notes.get_by_role("button", name="Add the note").click()
    expect(memory(notes, "The canteen closes at two.")).to_contain_text("for Ada")

    page = person
    page.goto(f"{konstruct.url}/memory")
    shared = page.get_by_role("region", name="Shared in")
    expect(memory(shared, "The canteen closes at two.")).to_be_visible()
    expect(shared.get_by_role("button")).to_have_count(0)

    memory(notes, "The canteen closes at two.").get_by_role("button", name="Remove").click()
    expect(memory(notes, "The canteen closes at two.")).to_have_count(0)
    page.reload()
    expect(memory(shared, "The canteen closes at two.")).to_have_count(0)
    context.close()


def test_on_a_phone_nothing_sticks_out(person: Page, konstruct: Running, browser: Browser) -> None:
    told(person, konstruct, f"I am {'very ' * 30}long-winded, and {'w' * 80}.")
    context = browser.new_context(
        storage_state=person.context.storage_state(), viewport={"width": 360, "height": 740}
    )
    page = context.new_page()
    ada = visit(page, konstruct)
    expect(ada.locator("li.memory")).to_have_count(2)
    assert page.evaluate(
        "[document.documentElement, document.querySelector('.memory-page')]"
        ".every((box) => box.scrollWidth <= box.clientWidth)"
    )
    for button in ada.locator(".memory-act").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 24 and box["x"] + box["width"] <= 360
    context.close()
