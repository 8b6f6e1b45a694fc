"""Invited, joined, talking, promoted, removed: two people in two browsers."""

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Running, open_conversation, sign_in
from tests.e2e.people import PASSWORD, WITHDRAWN, Visit, invite, join, open_card, talk, visit

__all__ = ["visit"]


def test_invited_joined_talking_promoted_removed(visit: Visit, staged: Running) -> None:
    owner, nina = visit(permissions=["clipboard-read", "clipboard-write"]), visit()
    sign_in(owner, staged, "owner")
    link = invite(owner, staged)
    owner.get_by_role("button", name="Copy link").click()
    expect(owner.get_by_role("button", name="Copied")).to_be_visible()
    assert owner.evaluate("navigator.clipboard.readText()") == link
    # A reload is not a second invitation, and shows the link to nobody.
    owner.reload()
    expect(owner.get_by_text("Whoever has the link")).to_have_count(1)
    assert link.partition("#")[2] not in owner.content()

    addresses: list[str] = []
    nina.on("request", lambda request: addresses.append(request.url + json.dumps(request.headers)))
    join(nina, link, "Nina", "nina@demo.example")
    token = link.partition("#")[2]
    assert addresses and not [line for line in addresses if token in line]
    assert token not in nina.url and "#" not in nina.url
    open_conversation(nina, "Bruno")
    talk(nina, "one two three")

    # Used once, it opens nothing.
    late = visit()
    late.goto(link)
    expect(late.get_by_text("This invitation is no longer valid.")).to_be_visible()

    # With another role she talks on: the page comes back by itself.
    open_card(owner, staged, "Nina")
    owner.get_by_role("radio", name="Admin").check()
    owner.get_by_role("button", name="Save role").click()
    expect(owner.get_by_text("Nina has the role “admin” now.")).to_be_visible()
    talk(nina, "four five six")
    expect(nina.get_by_text(WITHDRAWN)).to_be_hidden()

    open_card(owner, staged, "Nina")
    owner.get_by_role("button", name="Remove Nina").click()
    expect(owner.get_by_text("Nina is no longer in this workspace.")).to_be_visible()
    expect(nina.get_by_text(WITHDRAWN)).to_be_visible()
    nina.reload()
    expect(nina.get_by_role("heading", name="You belong to no workspace yet")).to_be_visible()


def test_an_invitation_for_one_e_mail_and_another_account(visit: Visit, staged: Running) -> None:
    owner, other = visit(), visit()
    sign_in(owner, staged, "owner")
    link = invite(owner, staged, email="pia@demo.example", role="admin")
    sign_in(other, staged, "member")
    other.goto(link)
    expect(other.get_by_text("This invitation is for pia@demo.example.")).to_be_visible()
    expect(other.get_by_role("button", name="Join Demo")).to_have_count(0)
    other.get_by_role("button", name="Use another account").click()
    expect(other.get_by_label("E-mail")).to_have_value("pia@demo.example")
    other.get_by_label("Your name").fill("Pia")
    # Looked at while it is typed, and hidden again when it is sent.
    other.get_by_label("Password", exact=True).fill("short")
    other.get_by_role("button", name="Show the password").click()
    expect(other.get_by_label("Password", exact=True)).to_have_attribute("type", "text")
    other.get_by_role("button", name="Make an account and join").click()
    expect(other.get_by_text("This password is too short.")).to_be_visible()
    other.get_by_label("Password", exact=True).fill(PASSWORD)
    other.get_by_role("button", name="Make an account and join").click()
    expect(other.get_by_role("heading", name="Hello, Pia")).to_be_visible()
    other.goto(f"{staged.url}/people/")
    expect(other.get_by_text("Invite somebody")).to_be_visible()
    expect(other.get_by_role("button", name="Change Olivia")).to_have_count(0)


def test_without_javascript_everything_works(visit: Visit, staged: Running) -> None:
    owner, guest = visit(java_script_enabled=False), visit(java_script_enabled=False)
    account = staged.account("owner")
    owner.goto(f"{staged.url}/sign-in/?next=/people/")
    owner.get_by_label("E-mail").fill(account["email"])
    owner.get_by_label("Password").fill(account["password"])
    owner.get_by_role("button", name="Sign in").click()
    owner.get_by_role("button", name="Make a link").click()
    link = owner.get_by_label("Invitation link").input_value()
    guest.goto(link)
    guest.get_by_label("Invitation link").fill(link)
    guest.get_by_role("button", name="Go on").click()
    guest.get_by_label("Your name").fill("Noor")
    guest.get_by_label("E-mail").fill("noor@demo.example")
    guest.get_by_label("Password", exact=True).fill(PASSWORD)
    guest.get_by_role("button", name="Make an account and join").click()
    guest.goto(f"{staged.url}/people/")
    expect(guest.get_by_text("noor@demo.example")).to_be_visible()
    open_card(owner, staged, "Noor")
    owner.get_by_role("button", name="Remove Noor").click()
    expect(owner.get_by_text("Noor is no longer in this workspace.")).to_be_visible()


def test_by_keyboard_alone(visit: Visit, staged: Running) -> None:
    owner = visit()
    sign_in(owner, staged, "owner")
    owner.goto(f"{staged.url}/people/")
    owner.keyboard.press("Tab")
    expect(owner.get_by_text("Skip to the page")).to_be_focused()
    change = owner.get_by_role("button", name="Change Max")
    change.focus()
    owner.keyboard.press("Enter")
    card = owner.get_by_role("dialog", name="Max")
    expect(card.get_by_role("radio", name="Member")).to_be_focused()
    owner.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(change).to_be_focused()
    owner.keyboard.press("Enter")
    owner.keyboard.press("ArrowUp")
    expect(card.get_by_role("radio", name="Admin")).to_be_checked()
    owner.keyboard.press("Enter")
    notice = owner.get_by_text("Max has the role “admin” now.")
    expect(notice).to_be_focused()
    open_card(owner, staged, "Max")
    owner.get_by_role("radio", name="Member").check()
    owner.get_by_role("button", name="Save role").click()
    expect(owner.get_by_text("Max has the role “member” now.")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(visit: Visit, staged: Running, width: int) -> None:
    owner = visit(viewport={"width": width, "height": 800})
    sign_in(owner, staged, "owner")
    invite(owner, staged, email="someone.with.a.long.name@a-company-with-a-long-name.example")
    for path in ("/people/", "/account/"):
        if path != "/people/":
            owner.goto(f"{staged.url}{path}")
        assert owner.evaluate("document.documentElement.scrollWidth") <= width
