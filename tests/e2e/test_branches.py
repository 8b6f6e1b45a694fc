"""Versions of messages, several tabs, and a connection that goes, in a real browser.

The model is the fake upstream, which says the question back word by word: quick, and known in advance.
"""

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Running, open_conversation, sign_in

# Remembers the sockets, so that a test can cut them; loses frames of the types in `window.lost`.
SOCKETS = """
window.sockets = [];
window.lost = [];
window.WebSocket = class extends WebSocket {
    constructor(...args) { super(...args); window.sockets.push(this); }
    send(text) {
        if (window.lost.includes(JSON.parse(text).type)) this.close();
        else super.send(text);
    }
};
"""
CUT = "() => window.sockets.forEach((socket) => socket.close())"


@pytest.fixture(scope="module")
def konstruct(staged: Running) -> Running:
    """With the fake upstream for a model."""
    return staged


def messages(page: Page) -> Locator:
    return page.locator("#log article")


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message", exact=True).fill(text)
    page.keyboard.press("Enter")


def wait_for_answer(page: Page) -> None:
    expect(page.get_by_label("Stop the answer")).to_be_visible()
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)


def version(page: Page, which: str) -> Locator:
    number, count = which.split("/")
    return page.get_by_role("group", name=f"Version {number} of {count}")


def focused(page: Page) -> str | None:
    label: str | None = page.evaluate("document.activeElement.getAttribute('aria-label')")
    return label


def cut_off(context: BrowserContext, page: Page) -> None:
    context.set_offline(True)
    page.evaluate(CUT)
    expect(page.get_by_text("Connection lost.")).to_be_visible()


def test_a_new_answer_is_a_version_one_can_step_back_from(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Bruno")
    ask(page, "one two three four five six seven eight nine ten")
    wait_for_answer(page)
    expect(page.get_by_role("group", name=re.compile("Version"))).to_have_count(0)

    again = page.get_by_role("button", name="Write a new answer")
    again.focus()
    page.keyboard.press("Enter")
    expect(version(page, "2/2")).to_be_visible()
    # While it is written, nothing else can be asked for; the focus has not gone astray.
    expect(again).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_role("button", name="Edit this message")).to_have_attribute("aria-disabled", "true")
    assert focused(page) == "Write a new answer"
    wait_for_answer(page)
    expect(again).not_to_have_attribute("aria-disabled", "true")
    expect(messages(page)).to_have_count(2)

    back = page.get_by_role("button", name="Previous version")
    back.focus()
    page.keyboard.press("Enter")
    expect(version(page, "1/2")).to_be_visible()
    expect(page.locator("#announce")).to_have_text("Version 1 of 2")
    assert focused(page) == "Previous version"
    page.reload()
    expect(version(page, "1/2")).to_be_visible()

    page.get_by_role("button", name="Bad answer").click()
    page.keyboard.type("Too short.")
    page.get_by_role("button", name="Send", exact=True).first.click()
    expect(page.locator("form.comment")).to_have_count(0)
    assert focused(page) == "Bad answer"
    page.reload()
    expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Next version").click()
    expect(version(page, "2/2")).to_be_visible()
    expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "false")


def test_an_edited_message_begins_a_branch_and_other_tabs_follow(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "member")
    open_conversation(page, "Ada")
    ask(page, "the first wording")
    wait_for_answer(page)
    ask(page, "what follows it")
    wait_for_answer(page)
    other = page.context.new_page()
    other.goto(page.url)
    expect(messages(other)).to_have_count(4)

    edit = page.get_by_role("button", name="Edit this message").first
    edit.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Edit your message").fill("never mind")
    page.keyboard.press("Escape")
    expect(messages(page).first).to_contain_text("the first wording")
    assert focused(page) == "Edit this message"

    page.keyboard.press("Enter")
    page.get_by_label("Edit your message").fill("the second wording of it, with some more words")
    # What is being edited survives a reload.
    page.reload()
    expect(page.get_by_label("Edit your message")).to_have_value(re.compile("^the second wording"))
    page.get_by_role("button", name="Save and send").click()
    for tab in (page, other):
        expect(messages(tab)).to_have_count(2)
        expect(messages(tab).nth(1)).to_contain_text("the second wording of it, with some more words")
        expect(version(tab, "2/2")).to_be_visible()

    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
    page.get_by_role("button", name="Previous version").click()
    for tab in (page, other):
        expect(messages(tab)).to_have_count(4)
        expect(messages(tab).nth(3)).to_contain_text("what follows it")
    page.reload()
    expect(messages(page)).to_have_count(4)
    expect(version(page, "1/2")).to_be_visible()
    expect(page.get_by_label("Edit your message")).to_have_count(0)
    # It goes on from what is shown.
    ask(page, "and a third")
    expect(messages(other)).to_have_count(6)
    expect(messages(other).nth(5)).to_contain_text("and a third")


def test_what_is_written_while_offline_is_sent_once(context: BrowserContext, konstruct: Running) -> None:
    context.add_init_script(SOCKETS)
    page = context.new_page()
    sign_in(page, konstruct, "member")
    open_conversation(page, "Chloe")
    words = " ".join(f"word{number}" for number in range(60))
    ask(page, words)
    expect(messages(page).nth(1)).to_contain_text("word3")

    # Cut off in the middle of an answer: it goes on where it was, without gap or repetition.
    cut_off(context, page)
    page.wait_for_timeout(500)
    context.set_offline(False)
    expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
    expect(messages(page).nth(1).locator(".prose")).to_have_text(words)

    cut_off(context, page)
    ask(page, "said in the dark")
    ask(page, "and one more")
    expect(page.get_by_text("Will be sent once the connection is back.")).to_have_count(2)
    # A button that cannot be used says why; Playwright would wait for it to become enabled.
    page.get_by_role("button", name="Write a new answer").last.click(force=True)
    expect(page.locator("#hint")).to_have_text("There is no connection right now.")
    # Even the tab may go before the connection comes back.
    address = page.url
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.goto(address)
    for _ in range(2):
        expect(messages(page)).to_have_count(6, timeout=30_000)
        expect(messages(page).nth(5)).to_contain_text("and one more")
        expect(page.get_by_label("Stop the answer")).to_be_hidden(timeout=30_000)
        assert [text.split()[0] for text in page.locator(".bubble").all_inner_texts()] == [
            "word0",
            "said",
            "and",
        ]
        page.reload()


def test_an_edit_that_is_lost_with_the_connection_is_given_back(
    context: BrowserContext, konstruct: Running
) -> None:
    context.add_init_script(SOCKETS)
    page = context.new_page()
    sign_in(page, konstruct, "owner")
    open_conversation(page, "Chloe")
    ask(page, "as it was")
    wait_for_answer(page)
    page.evaluate("window.lost.push('edit', 'regenerate')")
    page.get_by_role("button", name="Edit this message").click()
    page.get_by_label("Edit your message").fill("as it shall be")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This change was not sent")).to_be_visible(timeout=15_000)
    expect(page.get_by_label("Edit your message")).to_have_value("as it shall be")
    page.get_by_role("button", name="Cancel").click()

    # An answer that was asked for in vain leaves the one that is there.
    page.get_by_role("button", name="Write a new answer").click()
    expect(page.get_by_role("group", name=re.compile("Version"))).to_have_count(0, timeout=15_000)
    expect(messages(page).nth(1)).to_contain_text("as it was")
    page.evaluate("window.lost.length = 0")
    page.get_by_role("button", name="Edit this message").click()
    page.get_by_label("Edit your message").fill("as it shall be")
    page.keyboard.press("Enter")
    expect(messages(page).nth(1)).to_contain_text("as it shall be")
    expect(version(page, "2/2")).to_be_visible()


# The state alone, given frames as the server may send them.
STATE = """
async () => {
    const { Conversation } = await import("konstruct/conversation");
    const at = (second) => `2026-01-01T00:00:0${second}Z`;
    const fetched = (id, parent_id, role, second, siblings = [id]) => ({
        id, parent_id, role, text: id, siblings, status: "complete", client_id: null, created_at: at(second),
        agent_id: null, feedback: null, feedback_comment: "",
    });
    const outcome = {};
    const make = () => {
        const sent = [], refused = [];
        const state = new Conversation({ id: "c", title: "", agent_id: null, leaf_id: "a1" }, {
            send: (frame) => sent.push(frame),
            changed: () => {},
            refused: (message, error) => refused.push([message?.text ?? null, error?.code ?? null]),
        });
        state.merge([fetched("a1", "q1", "assistant", 1), fetched("q1", null, "user", 0)]);
        state.apply({ type: "ready", last_message_id: "a1", active: null, agent: null });
        const shown = () => state.branch().map((message) => {
            const { ids, index } = state.versions(message);
            return `${message.text || "…"} ${index + 1}/${ids.length}`;
        });
        return { state, sent, refused, shown };
    };
    {
        const { state, sent, refused, shown } = make();
        state.regenerate(state.find("a1"));
        const before = shown();
        state.apply({ type: "error", code: "rate_limited", message: "x", ref: sent.at(-1).ref });
        outcome.regenerate_refused = [before, shown(), refused, state.running];
    }
    {
        const { state, sent, refused, shown } = make();
        state.edit(state.find("q1"), "new");
        const { ref } = sent.at(-1);
        state.apply({ type: "typing", message_id: "a2", reply_to: "q2", agent_id: null, ref });
        const before = shown();
        state.apply({ type: "error", code: "busy", message: "x", message_id: "a2", ref });
        outcome.edit_refused = [before, shown(), refused, state.running];
    }
    {
        const { state, sent, shown } = make();
        state.edit(state.find("q1"), "new");
        const { ref } = sent.at(-1);
        state.apply({ type: "typing", message_id: "a2", reply_to: "q2", agent_id: null, ref });
        state.apply({ type: "saved", message_id: "q2", client_id: null, reply_id: "a2", ref });
        state.apply({ type: "chunk", message_id: "a2", text: "hel", offset: 0, ref });
        // The model fails: that is the answer's end, not the edit's.
        state.apply({ type: "error", code: "model_timeout", message: "x", message_id: "a2", ref });
        state.apply({ type: "done", message_id: "a2", text: "hel", status: "failed", ref });
        outcome.edited = [shown(), state.find("a2").error.code, state.isEditOpen];
    }
    {
        // In another tab the first message was edited: its parent is none.
        const { state, shown } = make();
        state.apply({ type: "message", message_id: "q2", role: "user", text: "q2", created_at: at(2) });
        state.apply({ type: "typing", message_id: "a2", reply_to: "q2", agent_id: null });
        outcome.elsewhere = [shown(), state.isBehind];
        state.apply({ type: "done", message_id: "a2", text: "a2", status: "complete" });
        state.apply({ type: "typing", message_id: "a3", reply_to: "q2", agent_id: null });
        outcome.elsewhere_again = [shown(), state.isBehind];
        state.apply({ type: "typing", message_id: "a9", reply_to: "unheard of", agent_id: null });
        outcome.unheard_of = [shown(), state.isBehind];
    }
    {
        // Two tabs send the same message; the other one's is heard of first.
        const { state, shown } = make();
        state.say("hello", "own");
        const said = { message_id: "q2", role: "user", text: "hello", created_at: at(2), parent_id: "a1" };
        state.apply({ type: "message", ...said });
        state.apply({ type: "typing", message_id: "a2", reply_to: "q2", agent_id: null });
        state.apply({ type: "saved", message_id: "q2", client_id: "own", reply_id: "a2", ref: "own" });
        outcome.same_message = [shown(), state.unsaved.length];
    }
    {
        // Of two that wait, the second is sent once the first is answered, and goes below the answer.
        const { state, sent, refused, shown } = make();
        state.say("one", "c1");
        state.say("two", "c2");
        const before = shown();
        state.apply({ type: "typing", message_id: "a2", reply_to: "q2", agent_id: null, ref: "c1" });
        state.apply({ type: "saved", message_id: "q2", client_id: "c1", reply_id: "a2", ref: "c1" });
        const during = shown();
        const count = sent.length;
        state.apply({ type: "done", message_id: "a2", text: "a2", status: "complete" });
        outcome.queue = [before, during, count, sent.slice(count).map((frame) => frame.messageId)];
        state.apply({ type: "typing", message_id: "a3", reply_to: "q3", agent_id: null, ref: "c2" });
        state.apply({ type: "error", code: "busy", message: "x", message_id: "a3", ref: "c2" });
        outcome.queue_refused = [shown(), refused, state.unsaved.length];
    }
    {
        // Announced, but its process died before it was stored.
        const { state, sent, shown } = make();
        state.apply({ type: "typing", message_id: "a2", reply_to: "q1", agent_id: null });
        state.apply({ type: "ready", last_message_id: "a2", active: null, agent: null });
        const asked = sent.at(-1);
        state.apply({ type: "error", code: "not_found", message: "x", message_id: "a2", ref: asked.ref });
        outcome.never_stored = [asked.type, state.running, state.versions(state.find("a1")).ids];
    }
    return outcome;
}
"""


def test_the_state_follows_the_frames(page: Page, konstruct: Running) -> None:
    sign_in(page, konstruct, "owner")
    open_conversation(page, "Bruno")
    assert page.evaluate(STATE) == {
        "regenerate_refused": [
            ["q1 1/1", "… 2/2"],
            ["q1 1/1", "a1 1/1"],
            [[None, "rate_limited"]],
            None,
        ],
        "edit_refused": [["new 2/2", "… 1/1"], ["q1 1/1", "a1 1/1"], [["new", "busy"]], None],
        "edited": [["new 2/2", "hel 1/1"], "model_timeout", False],
        "elsewhere": [["q2 2/2", "… 1/1"], False],
        "elsewhere_again": [["q2 2/2", "… 2/2"], False],
        "unheard_of": [["q2 2/2", "… 2/2"], True],
        "same_message": [["q1 1/1", "a1 1/1", "hello 1/1", "… 1/1"], 0],
        "queue": [
            ["q1 1/1", "a1 1/1", "one 1/1", "two 1/1"],
            ["q1 1/1", "a1 1/1", "one 1/1", "… 1/1", "two 1/1"],
            1,
            ["c2"],
        ],
        "queue_refused": [["q1 1/1", "a1 1/1", "one 1/1", "a2 1/1"], [["two", "busy"]], 0],
        "never_stored": ["resume", None, ["a1"]],
    }
