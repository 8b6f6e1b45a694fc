"""What an answer's Markdown may do in a real browser: be read, and nothing else.

The corpus is drawn by the page's own modules into the page's own log, whole and piece by piece as it would
come from a model. A sample of it also goes all the way: said to an employee that says it back.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.corpus.attacks import ATTACKS, DISGUISES, HEAVY, HONEST
from tests.e2e.scene import Scene

# Notes all that must not happen: `hit()`, dialogs, pages opened, violations of the policy.
WATCH = """
window.trouble = [];
window.hit = (what = "ran") => { window.trouble.push(what); return ""; };
for (const name of ["alert", "confirm", "prompt", "print", "open"]) window[name] = () => window.hit(name);
document.addEventListener("securitypolicyviolation", (event) =>
    window.trouble.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""

CORPUS = Path(__file__).parent / "corpus"
KINDS = (CORPUS / "kinds.md").read_text()


def script(name: str) -> str:
    return (CORPUS / f"{name}.js").read_text()


@pytest.fixture(scope="module")
def konstruct(staged: Running) -> Iterator[Running]:
    scene = Scene(staged.home)
    scene.employ(Bruno="echo")
    yield staged
    scene.employ(Bruno="slow-60")


@pytest.fixture(scope="module")
def watched(browser: Browser, konstruct: Running) -> Iterator[tuple[Page, list[str]]]:
    """A conversation's page that notes what must not happen, and what it asked for beyond its own."""
    context = browser.new_context()
    context.add_init_script(WATCH)
    page = context.new_page()
    asked: list[str] = []
    sign_in(page, konstruct, "member")
    open_conversation(page, "Bruno")
    page.wait_for_load_state("networkidle")

    def note(url: str) -> None:
        if "/static/vendor/" not in url and "/api/token" not in url:
            asked.append(url)

    def complained(said: ConsoleMessage) -> None:
        if said.type == "error":
            asked.append(said.text)

    def asked_a_person(dialog: Dialog) -> None:
        asked.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda request: note(request.url))
    page.on("console", complained)
    page.on("dialog", asked_a_person)
    yield page, asked
    context.close()


@pytest.fixture(scope="module")
def drawn(watched: tuple[Page, list[str]]) -> dict[str, list[str]]:
    """What went wrong with each attack, drawn whole, in pieces of 1 and of 7 characters."""
    page, asked = watched
    address = page.url
    problems: dict[str, list[str]] = page.evaluate(script("draw"), [ATTACKS, [1, 7]])
    problems["asked for"] = list(asked)
    problems["went away"] = [] if page.url == address else [page.url]
    return problems


def test_the_watch_sees_what_it_is_to_see(watched: tuple[Page, list[str]], drawn: dict[str, Any]) -> None:
    page, asked = watched
    before = len(asked)
    seen = page.evaluate(
        """async () => {
            const box = document.createElement("div");
            document.getElementById("log").append(box);
            box.innerHTML = '<img src="https://evil.example/i.png"><b onclick="hit()">x</b>';
            box.querySelector("b").click();
            await new Promise((done) => setTimeout(done, 200));
            box.remove();
            return window.trouble.splice(0);
        }"""
    )
    # The policy alone would have stopped both.
    assert sorted(line.split()[1] for line in seen) == ["img-src", "script-src-attr"]
    assert len(asked) > before


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_runs_and_nothing_is_smuggled_in(drawn: dict[str, list[str]], name: str) -> None:
    assert drawn[name] == []


@pytest.mark.parametrize("what", ["asked for", "went away", "clobbered"])
def test_the_page_is_what_it_was(drawn: dict[str, list[str]], what: str) -> None:
    assert drawn[what] == []


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_text_is_drawn_and_nothing_of_it_is_lost(watched: tuple[Page, list[str]], name: str) -> None:
    page, _ = watched
    text = HEAVY[name]
    drawn = page.evaluate(script("heavy"), text)
    letters, depth, trouble = drawn
    # The addresses of links and the names of labels are not shown, nor are the marks of Markdown.
    plain = sum(letter in "abcdefghijklmnopqrstuvwxyz" for letter in text)
    assert letters >= plain or name in ("definitions", "long-code", "entities"), (letters, plain)
    assert depth < 700
    assert trouble == []


def hosts_of(page: Page, text: str) -> list[str]:
    said: list[str] = page.evaluate(
        """async (text) => {
            const { MarkdownView } = await import("konstruct/markdown");
            const box = document.createElement("div");
            new MarkdownView(box).draw(text);
            return [...box.querySelectorAll("a .host")].map((host) => host.textContent.trim());
        }""",
        text,
    )
    return said


@pytest.mark.parametrize("name", DISGUISES)
def test_a_link_in_disguise_says_where_it_leads(watched: tuple[Page, list[str]], name: str) -> None:
    text, host = DISGUISES[name]
    assert hosts_of(watched[0], text) == [f"({host})"]


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_link_says_nothing_more(watched: tuple[Page, list[str]], name: str) -> None:
    assert hosts_of(watched[0], HONEST[name]) == []


END_TO_END = [
    "script/script",
    "script/script-in-table",
    "handler/img-onerror",
    "handler/href-breaks-out",
    "address/javascript",
    "address/data-html",
    "fetch/image",
    "fetch/image-reference",
    "fetch/iframe",
    "style/style-import",
    "foreign/svg-onload",
    "foreign/tex-href",
    "page/base",
    "page/meta-refresh",
    "page/clobber-id",
    "broken/comment-breaks-out",
    "disguise/cyrillic-host",
]


def test_an_employee_that_says_all_this_harms_nobody(page: Page, konstruct: Running) -> None:
    page.add_init_script(WATCH)
    sign_in(page, konstruct, "owner")
    open_conversation(page, "Bruno")
    page.get_by_label("Your message", exact=True).fill("\n\n".join(ATTACKS[name] for name in END_TO_END))
    page.keyboard.press("Enter")
    answer = page.locator("#log article.is-answer")
    for _ in range(2):
        expect(answer.locator(".prose")).to_contain_text("(xn--pple-43d.com)", timeout=30_000)
        expect(answer).to_have_attribute("aria-busy", "false")
        assert page.evaluate("window.trouble") == []
        assert (
            answer.locator(".prose").locator("script, img, iframe, style, svg, base, meta, link").count() == 0
        )
        # Stored, and drawn anew.
        page.reload()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_grown_piece_by_piece_it_is_what_it_is_drawn_at_once(
    watched: tuple[Page, list[str]], seed: int
) -> None:
    page, _ = watched
    assert page.evaluate(script("mix"), [KINDS, seed, 60]) is None


def test_a_task_a_table_and_code_are_told_to_who_cannot_see_them(
    watched: tuple[Page, list[str]],
) -> None:
    page, _ = watched
    said = page.evaluate(
        """async (text) => {
            const { MarkdownView } = await import("konstruct/markdown");
            const box = document.createElement("div");
            new MarkdownView(box).draw(text);
            const nodes = (selector) => [...box.querySelectorAll(selector)];
            const all = (selector, name) => nodes(selector).map((node) => node.getAttribute(name));
            return {
                tasks: all(".task", "aria-label"),
                scopes: all("th", "scope"),
                groups: all("[role=group]", "aria-label"),
            };
        }""",
        KINDS,
    )
    assert said["tasks"] == ["To do:", "Done:"]
    assert said["scopes"] == ["col", "col"]
    assert "Code, python" in said["groups"] and "Table" in said["groups"]


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len(ATTACKS) >= 200
    # Each is a string of its own.
    assert len(set(map(json.dumps, ATTACKS.values()))) == len(ATTACKS)
