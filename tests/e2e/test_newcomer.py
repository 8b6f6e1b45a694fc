"""What a newcomer does: sign in with the printed account, ask, watch the local model answer."""

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in


def test_the_printed_account_is_the_one_that_works(konstruct: Running) -> None:
    printed = "".join(konstruct.output)
    assert konstruct.url.removeprefix("http://127.0.0.1") in printed
    assert str(konstruct.home) in printed
    assert konstruct.account("owner")["password"] in printed


def test_a_question_is_answered_by_the_local_model_as_a_stream(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Chloe")
    page.get_by_label("Your message").fill("Why is the sky blue? Tell me in five sentences.")
    page.evaluate(
        """() => {
            window.lengths = new Set();
            const log = document.getElementById("log");
            new MutationObserver(() => window.lengths.add(log.innerText.length))
                .observe(log, {childList: true, subtree: true, characterData: true});
        }"""
    )
    page.keyboard.press("Enter")
    answer = page.locator("#log article").nth(1)
    expect(answer).to_contain_text(" ", timeout=90_000)
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=120_000)
    assert page.evaluate("window.lengths.size") > 5, "the answer came in one piece"
    text = answer.inner_text()
    # A real model, and a small one: it may answer five sentences with one.
    assert len(answer.locator(".prose").inner_text().split()) >= 3

    page.reload()
    expect(page.locator("#log article")).to_have_count(2)
    assert page.locator("#log article").nth(1).inner_text().split()[:5] == text.split()[:5]
    # The job worker finds a title soon; the page and the list at its side show it without a reload.
    expect(page.locator("#title")).not_to_have_text("New conversation", timeout=60_000)
    title = page.locator("#title").inner_text()
    expect(page.get_by_role("navigation", name="Your conversations")).to_contain_text(title)


def test_stop_keeps_what_was_written(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Bruno")
    page.get_by_label("Your message").fill("Write a very long story about a lighthouse keeper.")
    page.keyboard.press("Enter")
    answer = page.locator("#log article").nth(1)
    expect(answer).to_contain_text(" ", timeout=90_000)
    page.get_by_label("Stop the answer").click()
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=20_000)
    expect(answer).to_contain_text("Stopped")

    page.get_by_label("Your message").fill("Thank you.")
    page.keyboard.press("Enter")
    expect(page.locator("#log article")).to_have_count(4, timeout=90_000)


def test_the_owner_reads_the_transcript_in_the_admin(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "owner")
    open_conversation(page, "Ada")
    page.get_by_label("Your message").fill("How many hours has a year?")
    page.keyboard.press("Enter")
    expect(page.locator("#log article")).to_have_count(2, timeout=90_000)
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=120_000)

    page.goto(f"{konstruct.url}/admin/chat/conversation/")
    page.get_by_role("row").filter(has_text="Olivia").get_by_role("link").first.click()
    expect(page.get_by_text("How many hours has a year?").first).to_be_visible()
