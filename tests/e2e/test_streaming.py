"""A conversation while it is written: what stays, what moves, what waits, in a real browser.

The model is the fake upstream: Ada says back what she is told, a word each 25 ms; Bruno at once; Chloe fails
after a second and a half.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.scene import Scene

KINDS = (Path(__file__).parent / "corpus" / "kinds.md").read_text()
LONG = 200


@pytest.fixture(scope="module")
def scene(staged: Running) -> Iterator[Scene]:
    scene = Scene(staged.home)
    scene.employ(Ada="slow-25", Bruno="echo", Chloe="late-1500-500")
    yield scene
    scene.employ(Ada="slow-60", Bruno="slow-60", Chloe="slow-60")


@pytest.fixture(scope="module")
def konstruct(staged: Running, scene: Scene) -> Running:
    return staged


@pytest.fixture(scope="module")
def long_conversation(konstruct: Running, scene: Scene) -> str:
    """The address of a conversation of many messages, its answers of every kind of Markdown."""
    texts = [f"Question {n}" if n % 2 == 0 else f"Answer {n}\n\n{KINDS}" for n in range(LONG)]
    conversation = scene.history(konstruct.account("member")["email"], "Ada", texts)
    return f"{konstruct.url}/c/{conversation}"


def messages(page: Page) -> Locator:
    return page.locator("#log article")


def last_answer(page: Page) -> Locator:
    return page.locator("#log article.is-answer").last


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message", exact=True).fill(text)
    page.keyboard.press("Enter")


def stop_button(page: Page) -> Locator:
    return page.get_by_label("Stop the answer")


def wait_until_answered(page: Page) -> None:
    expect(stop_button(page)).to_be_hidden(timeout=60_000)


def from_end(page: Page) -> int:
    """How far the reader is from the end of the conversation, in pixels."""
    distance: float = page.evaluate(
        "(() => { const box = document.getElementById('scroll');"
        " return box.scrollHeight - box.clientHeight - box.scrollTop; })()"
    )
    return round(distance)


def top_of(page: Page, text: str) -> float:
    return float(page.get_by_text(text, exact=True).evaluate("(node) => node.getBoundingClientRect().top"))


# Notes what is shown in each frame: text that only half-read Markdown shows, and blocks that moved.
NOTE_FRAMES = """
() => {
    window.frames = { count: 0, raw: [], moved: [] };
    const seen = new Map();
    const look = () => {
        const prose = [...document.querySelectorAll("#log .prose")].at(-1);
        if (prose) {
            frames.count += 1;
            const copy = prose.cloneNode(true);
            for (const code of copy.querySelectorAll("code, .math")) code.remove();
            const raw = /\\*\\*|```|~~|\\]\\(|^#{1,6} |\\|---|\\$\\$/m.exec(copy.textContent);
            if (raw) frames.raw.push(copy.textContent.slice(Math.max(0, raw.index - 20), raw.index + 20));
            const top = prose.getBoundingClientRect().top;
            const blocks = [...prose.children];
            // The last two may still become something else.
            for (const block of blocks.slice(0, -2)) {
                const at = Math.round(block.getBoundingClientRect().top - top);
                const before = seen.get(block) ?? at;
                if (Math.abs(before - at) > 1) frames.moved.push([before, at, block.innerText.slice(0, 30)]);
                seen.set(block, at);
            }
        }
        window.looking = requestAnimationFrame(look);
    };
    look();
}
"""
CALM = """# A title

Some **bold words that take a while** and a [link with words](https://example.com/a/long/address), `code too`.

- first of **three**
- second with [another link](https://example.com)
- third

| Name | Value |
|------|------:|
| one **bold** | 1 |
| two | 22 |

Text before it:

```python
def f(x):
    return x * 2
```

And the end, ~~struck out~~ and done.
"""


def test_what_is_half_written_is_drawn_as_what_it_becomes_and_nothing_jumps(
    page: Page, konstruct: Running
) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    # So that formulas and colours need not be fetched in the middle.
    page.evaluate("Promise.all([import('highlight'), import('katex')])")
    page.evaluate(NOTE_FRAMES)
    ask(page, CALM)
    expect(last_answer(page)).to_contain_text("struck out and done.", timeout=30_000)
    wait_until_answered(page)
    frames: dict[str, Any] = page.evaluate("window.frames")
    assert frames["count"] > 50
    assert frames["raw"] == []
    assert frames["moved"] == []


def test_finished_parts_keep_their_nodes_and_the_selection_in_them(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, "Select **these words** here.\n\nA second paragraph.\n\n" + "- item of a long list\n" * 40)
    expect(last_answer(page).locator("li").nth(3)).to_be_visible(timeout=30_000)
    page.evaluate(
        """() => {
            const prose = document.querySelector("#log .is-answer .prose");
            window.kept = [...prose.querySelectorAll("p, li:nth-child(-n + 3)")];
            getSelection().selectAllChildren(prose.querySelector("strong"));
        }"""
    )
    wait_until_answered(page)
    assert last_answer(page).locator("li").count() == 40
    assert page.evaluate("window.kept.length === 5 && window.kept.every((node) => node.isConnected)")
    assert page.evaluate("String(getSelection())") == "these words"


def test_code_grows_gets_its_colours_and_is_copied_as_it_is(
    page: Page, context: BrowserContext, konstruct: Running
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    code = "\n".join(f"def function_{n}(x):\n    return 'text' + str({n})  # comment" for n in range(12))
    ask(page, f"Here:\n\n```python\n{code}\n```\n\nThat was it.")
    block = last_answer(page).locator(".code")
    # Coloured already while it grows.
    expect(block.locator(".hljs-keyword").first).to_be_visible(timeout=30_000)
    expect(stop_button(page)).to_be_visible()
    wait_until_answered(page)
    expect(block.locator(".hljs-keyword")).to_have_count(24)
    expect(block.locator(".code-language")).to_have_text("python")
    block.get_by_role("button", name="Copy").click()
    expect(block.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == code


def test_wide_code_and_tables_scroll_in_their_own_boxes_on_a_phone(
    context: BrowserContext, konstruct: Running, page: Page
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, konstruct, "member")
    page.get_by_role("button", name="Bruno", exact=True).click()
    page.get_by_placeholder("Message Bruno").wait_for()
    cells = " | ".join(f"column{n}" for n in range(20))
    rule = " | ".join("---" for _ in range(20))
    ask(page, f"```\n{'wide ' * 60}\n```\n\n| {cells} |\n| {rule} |\n| {cells} |\n\n$$\n{'a + ' * 60}b\n$$")
    expect(last_answer(page).locator("table")).to_be_visible(timeout=30_000)
    expect(last_answer(page).locator("math")).to_be_visible()
    wait_until_answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (".code pre", ".table", ".math.is-block"):
        wide = last_answer(page).locator(box).evaluate("(node) => node.scrollWidth > node.clientWidth + 100")
        assert wide, box
        assert last_answer(page).locator(box).bounding_box()["width"] <= 390, box  # type: ignore[index]


def test_it_scrolls_along_until_the_reader_goes_up(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, "\n\n".join(f"paragraph{n} of the answer" for n in range(80)))
    # The question itself is higher than the page.
    expect(last_answer(page)).to_contain_text("paragraph12", timeout=30_000)
    assert from_end(page) <= 1
    down = page.get_by_role("button", name="Newest")
    expect(down).to_be_hidden()

    page.mouse.move(700, 300)
    page.mouse.wheel(0, -250)
    expect(down).to_be_visible()
    place = page.evaluate("document.getElementById('scroll').scrollTop")
    expect(last_answer(page)).to_contain_text("paragraph30", timeout=30_000)
    assert page.evaluate("document.getElementById('scroll').scrollTop") == place

    down.click()
    expect(down).to_be_hidden()
    expect(last_answer(page)).to_contain_text("paragraph40", timeout=30_000)
    page.wait_for_function(
        "() => { const box = document.getElementById('scroll');"
        " return box.scrollHeight - box.clientHeight - box.scrollTop <= 1; }"
    )
    wait_until_answered(page)
    assert from_end(page) <= 1


def test_of_a_long_conversation_a_part_is_in_the_page_and_the_rest_comes(
    page: Page, konstruct: Running, long_conversation: str
) -> None:
    sign_in(page, konstruct, "member")
    page.goto(long_conversation)
    expect(page.get_by_text(f"Answer {LONG - 1}", exact=True)).to_be_visible()
    assert from_end(page) <= 1
    assert messages(page).count() < 100

    # Upwards, to the first message; what is read stays where it is while older messages come above it.
    page.mouse.move(700, 400)
    for _ in range(60):
        count = messages(page).count()
        if count == LONG:
            break
        page.evaluate("document.getElementById('scroll').scrollTop = 0")
        expect(messages(page)).not_to_have_count(count)
    expect(page.get_by_text("Question 0", exact=True)).to_be_attached()
    # All of it, far above and far below, can be read by a screen reader.
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    names = {node.get("name", {}).get("value") for node in tree}
    assert {"Question 0", "Answer 61", f"Question {LONG - 2}"} <= names

    # Back at the end there is no need to keep them all.
    page.get_by_role("button", name="Newest").click()
    page.wait_for_function("() => document.getElementById('down').hidden")
    ask(page, "once more")
    expect(last_answer(page)).to_contain_text("once more")
    wait_until_answered(page)
    assert messages(page).count() == 100
    assert from_end(page) <= 1
    # And they come again.
    page.evaluate("document.getElementById('scroll').scrollTop = 0")
    expect(messages(page)).not_to_have_count(100)


def test_the_browsers_own_search_finds_what_is_out_of_sight(
    page: Page, konstruct: Running, long_conversation: str
) -> None:
    sign_in(page, konstruct, "member")
    wanted = LONG - 24
    # A text fragment searches as Ctrl+F does, which no test can press.
    page.goto(f"{long_conversation}#:~:text=Question%20{wanted}")
    expect(page.get_by_text(f"Question {wanted}", exact=True)).to_be_in_viewport()
    assert from_end(page) > 5000


def test_older_messages_leave_what_is_read_in_its_place(
    page: Page, konstruct: Running, long_conversation: str
) -> None:
    sign_in(page, konstruct, "member")
    page.goto(long_conversation)
    # All that came with the page is drawn.
    count: int = page.evaluate(
        "JSON.parse(document.getElementById('page-data').textContent).messages.items.length"
    )
    expect(messages(page)).to_have_count(count)
    held: list[Route] = []
    older = re.compile(r"/messages\?.*cursor=")
    page.route(older, lambda route: held.append(route))
    with page.expect_request(older):
        page.evaluate("document.getElementById('scroll').scrollTop = 400")
    before = page.evaluate(
        """() => {
            window.read = document.elementFromPoint(700, 400).closest(".block > *, article");
            return window.read.getBoundingClientRect().top;
        }"""
    )
    assert len(held) == 1
    held[0].continue_()
    expect(messages(page)).not_to_have_count(count)
    # Two frames: what comes late has come.
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert abs(page.evaluate("window.read.getBoundingClientRect().top") - before) < 3


def test_under_an_answer_stands_which_model_wrote_it_and_how_long_it_took(
    page: Page, konstruct: Running
) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, "how long does this take")
    facts = last_answer(page).locator(".facts")
    expect(facts).to_have_text(re.compile(r"^slow-25 · [\d.]+s$"), timeout=30_000)
    expect(facts).to_have_attribute("title", re.compile(r"^openai/slow-25\n\d+ tokens read, 5 written$"))
    page.reload()
    expect(facts).to_have_text(re.compile(r"^slow-25 · [\d.]+s$"))


def queue(page: Page) -> Locator:
    return page.get_by_role("region", name="To be sent")


def said(page: Page) -> list[str]:
    return page.locator("#log .bubble").all_inner_texts()


def test_what_is_written_while_an_answer_runs_waits_and_is_sent_in_order(
    page: Page, konstruct: Running
) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, " ".join(f"word{n}" for n in range(160)))
    expect(stop_button(page)).to_be_visible()
    ask(page, "second")
    page.get_by_label("Your message", exact=True).fill("third")
    page.get_by_role("button", name="Send after this answer").click()
    ask(page, "never to be sent")
    items = queue(page).get_by_role("listitem")
    expect(items).to_have_count(3)
    assert len(said(page)) == 1

    page.get_by_role("button", name="Remove this waiting message").nth(2).click()
    expect(items).to_have_count(2)
    page.get_by_role("button", name="Edit this waiting message").nth(0).click()
    page.get_by_label("Edit your message").fill("second, said better")
    page.keyboard.press("Enter")
    expect(items.first).to_contain_text("second, said better")
    # Nothing is lost with the page.
    page.reload()
    expect(items).to_have_count(2)

    expect(queue(page)).to_be_hidden(timeout=60_000)
    expect(messages(page)).to_have_count(6)
    wait_until_answered(page)
    assert said(page)[1:] == ["second, said better", "third"]
    answers = page.locator("#log .is-answer .prose").all_inner_texts()
    assert answers[1:] == ["second, said better", "third"]


def test_what_waits_goes_on_after_a_stop(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, " ".join(f"word{n}" for n in range(400)))
    expect(last_answer(page)).to_contain_text("word3", timeout=30_000)
    ask(page, "rather this")
    page.keyboard.press("Escape")
    expect(messages(page)).to_have_count(4, timeout=30_000)
    expect(last_answer(page).locator(".prose")).to_have_text("rather this", timeout=30_000)


def test_after_a_failure_what_waits_is_held_until_it_is_asked_for(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "owner")
    open_conversation(page, "Chloe")
    ask(page, "this will fail")
    expect(stop_button(page)).to_be_visible()
    ask(page, "first in line")
    ask(page, "second in line")
    again = page.get_by_role("button", name="Send them now")
    expect(again).to_be_visible(timeout=60_000)
    assert said(page) == ["this will fail"]
    page.reload()
    expect(again).to_be_visible()
    again.click()
    expect(messages(page)).to_have_count(4)
    expect(queue(page).get_by_role("listitem")).to_have_count(1)
    expect(again).to_be_visible(timeout=60_000)
    assert said(page) == ["this will fail", "first in line"]


def test_another_tab_shows_the_same_queue(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, " ".join(f"word{n}" for n in range(200)))
    expect(stop_button(page)).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url)
    expect(stop_button(other)).to_be_visible(timeout=15_000)
    ask(page, "from the first tab")
    expect(queue(other).get_by_role("listitem")).to_have_text(re.compile("from the first tab"))
    ask(other, "from the second tab")
    expect(queue(page).get_by_role("listitem")).to_have_count(2)
    for tab in (page, other):
        expect(messages(tab)).to_have_count(6, timeout=60_000)
        expect(queue(tab)).to_be_hidden()
        wait_until_answered(tab)
        assert said(tab)[1:] == ["from the first tab", "from the second tab"]
