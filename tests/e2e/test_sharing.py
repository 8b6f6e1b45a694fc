"""Sharing and files in real browsers: two people, a link, its end; a file out and in again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Running, sign_in
from tests.e2e.files import conversation_file, take_in


@pytest.fixture(scope="module")
def konstruct(staged: Running) -> Running:
    return staged


@pytest.fixture
def colleague(browser: Browser, konstruct: Running) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sign_in(page, konstruct, "member")
    yield page
    context.close()


@pytest.fixture
def shared(page: Page, konstruct: Running) -> str:
    """A conversation of the owner's, open in `page`; its id."""
    sign_in(page, konstruct, "owner")
    texts = ["What is the plan?", "First **this**, then\n\n```python\nprint(1)\n```", "Thanks!"]
    one = take_in(page, conversation_file("The plan", *texts))
    page.goto(f"{konstruct.url}/c/{one}")
    return one


def test_a_colleague_reads_by_the_link_until_it_ends(page: Page, colleague: Page, shared: str) -> None:
    page.get_by_label("This conversation", exact=True).click()
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link", exact=True)
    expect(link).to_be_focused()
    url = link.input_value()

    colleague.goto(url)
    expect(colleague.get_by_role("heading", name="The plan")).to_be_visible()
    articles = colleague.locator("#log article")
    expect(articles).to_have_count(3)
    expect(articles.nth(1).locator("strong").filter(has_text="this")).to_be_visible()
    expect(articles.nth(1).locator("code")).to_contain_text("print(1)")
    expect(colleague.get_by_text("You can read this conversation, but not write in it.")).to_be_visible()
    # Nothing to write in, and no tools.
    expect(colleague.get_by_label("Your message", exact=True)).to_have_count(0)
    expect(colleague.locator("#log .tools")).to_have_count(0)
    expect(colleague.locator("#conversations")).not_to_contain_text("The plan")

    page.get_by_role("button", name="End link").click()
    expect(page.locator("#share-dialog").get_by_role("listitem")).to_have_count(0)
    response = colleague.reload()
    assert response is not None and response.status == 404


def test_ones_links_are_listed_and_ended(
    page: Page, colleague: Page, shared: str, konstruct: Running
) -> None:
    page.get_by_label("This conversation", exact=True).click()
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link", exact=True)
    expect(link).to_be_focused()
    url = link.input_value()
    page.keyboard.press("Escape")
    page.get_by_label("Account", exact=True).click()
    page.get_by_role("link", name="Shared links").click()
    entry = page.get_by_role("listitem").filter(
        has=page.get_by_role("button", name="End the link to The plan")
    )
    entry.get_by_role("link", name="The plan").first.click()
    page.wait_for_url(url)
    expect(page.get_by_text("This is what others in your workspace see.")).to_be_visible()
    page.go_back()
    entry.get_by_role("button").first.click()
    expect(page.get_by_text("You have shared nothing.")).to_be_visible()
    response = colleague.goto(url)
    assert response is not None and response.status == 404


def test_older_messages_of_a_long_one_come_by_scrolling(
    page: Page, colleague: Page, konstruct: Running
) -> None:
    sign_in(page, konstruct, "owner")
    one = take_in(page, conversation_file("Long", *(f"Line {number}." for number in range(250))))
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "csrftoken")
    made = page.request.post(
        f"{konstruct.url}/api/conversations/{one}/shares", headers={"X-CSRFToken": token}
    ).json()
    colleague.goto(f"{konstruct.url}{made['url']}")
    expect(colleague.get_by_text("Line 249.")).to_be_in_viewport()
    first = colleague.get_by_text("Line 0.", exact=True)
    for _ in range(6):
        colleague.locator("#scroll").evaluate("box => box.scrollTo(0, 0)")
        if first.count():
            break
        colleague.wait_for_timeout(100)
    expect(first).to_be_attached()
    expect(colleague.locator("#log article")).to_have_count(250)


def test_a_file_goes_out_and_comes_in_again(
    page: Page, shared: str, konstruct: Running, tmp_path: Path
) -> None:
    def download(what: str) -> Path:
        page.get_by_label("This conversation", exact=True).click()
        with page.expect_download() as coming:
            page.get_by_role("link", name=what).click()
        page.keyboard.press("Escape")
        target = tmp_path / coming.value.suggested_filename
        coming.value.save_as(target)
        return target

    markdown = download("Export as Markdown")
    assert markdown.name == "the-plan.md" and "print(1)" in markdown.read_text()
    file = download("Export as JSON")
    assert file.name == "the-plan.json" and len(json.loads(file.read_text())["messages"]) == 3

    page.get_by_label("Account", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a conversation").click()
    chooser.value.set_files(file)
    page.wait_for_url(lambda url: "/c/" in url and shared not in url)
    expect(page.locator("#log article")).to_have_count(3)


def test_a_wrong_file_is_told_so(colleague: Page, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    # Drawn by the module that also hears the button.
    expect(colleague.locator("#conversations > *")).not_to_have_count(0)
    colleague.get_by_label("Account", exact=True).click()
    with colleague.expect_file_chooser() as chooser:
        colleague.get_by_role("button", name="Import a conversation").click()
    chooser.value.set_files(tmp_path / "wrong.json")
    expect(colleague.get_by_text("it was not exported from Konstruct as JSON")).to_be_visible()
