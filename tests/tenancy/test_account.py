"""My account: name, language, appearance, password, sessions."""

import re
from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from konstruct.tenancy import sessions
from konstruct.tenancy.devices import device
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import SignIn, User
from konstruct.tenancy.sockets import session_holds
from konstruct.tenancy.throttle import ATTEMPTS
from konstruct.tenancy.tokens import session_fingerprint

PASSWORD, NEW = "a-long-Password-1", "another-Password-9"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
PROFILE = {"display_name": "Ada", "language": "", "theme": "system"}

Browse = Callable[..., Client]


@pytest.fixture
def user(acme: WorkspaceRef, make_user: Callable[..., User]) -> User:
    return make_user(acme)


@pytest.fixture
def browse(user: User) -> Browse:
    """`browse(SAFARI)`: another browser in which the user has signed in."""

    def make(agent: str = FIREFOX, password: str = PASSWORD) -> Client:
        client = Client(headers={"User-Agent": agent})
        client.post("/sign-in/", {"username": user.email, "password": password})
        client.get("/account/")
        return client

    return make


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def listed(client: Client) -> list[str]:
    """The sessions' names on the account page; this one with a star."""
    html = client.get("/account/").content.decode()
    rows = re.findall(r"<strong>([^<]+?)( <span class=\"tag\">[^<]*</span>)?</strong>", html)
    return [name.strip() + ("*" if tag else "") for name, tag in rows]


def ends(client: Client) -> list[str]:
    return re.findall(r'action="(/account/sessions/[^"]+/end/)"', client.get("/account/").content.decode())


# --- name, language, appearance ---------------------------------------------------------------------------


def test_a_new_name(browse: Browse, user: User) -> None:
    client = browse()
    assert (
        client.post("/account/profile/", {**PROFILE, "display_name": " Ada L. "})["Location"] == "/account/"
    )
    user.refresh_from_db()
    assert user.name == "Ada L."
    assert "Hello, Ada L." in client.get("/").content.decode()


@pytest.mark.parametrize("wrong", [{"display_name": ""}, {"language": "xx"}, {"theme": "pink"}])
def test_what_cannot_be_chosen_changes_nothing(browse: Browse, user: User, wrong: dict[str, str]) -> None:
    html = browse().post("/account/profile/", {**PROFILE, "display_name": "New", **wrong}).content.decode()
    assert "field-error" in html or "pink" not in html
    user.refresh_from_db()
    assert (user.display_name, user.language, user.theme) == ("", "", "system")


def test_the_language_is_the_persons_everywhere(browse: Browse, client: Client, user: User) -> None:
    first, second = browse(), browse(SAFARI)
    first.post("/account/profile/", {**PROFILE, "language": "es"})
    for browser in (first, second):
        response = browser.get("/account/", headers={"Accept-Language": "en"})
        assert '<html lang="es"' in response.content.decode()
        assert response["Content-Language"] == "es"
    # Nobody else's, though the thread is the same.
    assert '<html lang="en"' in client.get("/sign-in/").content.decode()
    first.post("/account/profile/", PROFILE)
    assert '<html lang="en"' in first.get("/").content.decode()


def test_before_signing_in_the_browsers_language_counts(client: Client, db: None) -> None:
    html = client.get("/sign-in/", headers={"Accept-Language": "es-AR,es;q=0.9"}).content.decode()
    assert '<html lang="es"' in html
    html = client.get("/join/", headers={"Accept-Language": "pt"}).content.decode()
    assert '<html lang="en"' in html


def test_a_failure_too_is_told_in_the_persons_language(browse: Browse, user: User) -> None:
    User.objects.update(language="es")
    client = browse()
    assert '<html lang="es"' in client.get("/nowhere").content.decode()
    html = client.post("/account/profile/", {**PROFILE, "display_name": ""}).content.decode()
    assert "Este campo es obligatorio." in html


@pytest.mark.parametrize("path", ["/", "/account/", "/people/", "/nowhere"])
def test_the_appearance_is_in_the_page_from_the_start(browse: Browse, path: str) -> None:
    client = browse()
    html = client.get(path).content.decode()
    assert "data-theme" not in html and 'content="light dark"' in html
    client.post("/account/profile/", {**PROFILE, "theme": "dark"})
    html = client.get(path).content.decode()
    assert re.search(r'<html lang="en" data-theme="dark">', html)
    assert '<meta name="color-scheme" content="dark">' in html


# --- the password -------------------------------------------------------------------------------------------


def test_a_new_password_keeps_this_session_and_ends_the_others(browse: Browse, user: User) -> None:
    here, there = browse(), browse(SAFARI)
    before, noted = here.session.session_key, sign_in(here)
    response = here.post("/account/password/", {"present": PASSWORD, "wanted": NEW})
    assert response["Location"] == "/account/"
    assert is_in(here) and not is_in(there)
    assert here.session.session_key != before
    assert sign_in(here).id == noted.id
    assert listed(here) == ["Firefox on Windows*"]
    assert Session.objects.count() == 1
    assert not is_in(browse()) and is_in(browse(password=NEW))


def test_a_password_needs_the_present_one(browse: Browse, user: User) -> None:
    here, there = browse(), browse()
    html = here.post("/account/password/", {"present": "wrong", "wanted": NEW}).content.decode()
    assert "This is not your present password." in html
    user.refresh_from_db()
    assert user.check_password(PASSWORD) and is_in(here) and is_in(there)


def test_an_answer_to_the_sessions_old_key_does_not_take_the_new_cookie(browse: Browse) -> None:
    """Another tab of the same browser may ask while the new key is on its way."""
    here = browse()
    late = Client()
    late.cookies["sessionid"] = here.session.session_key
    here.post("/account/password/", {"present": PASSWORD, "wanted": NEW})
    answer = late.post("/api/token")
    assert answer.status_code == 401
    assert "sessionid" not in answer.cookies
    assert is_in(here)
    # Signing out does take it back.
    assert here.post("/sign-out/").cookies["sessionid"].value == ""


@pytest.mark.parametrize("poor", ["short", "password123", ""])
def test_a_poor_password_is_refused(browse: Browse, user: User, poor: str) -> None:
    html = browse().post("/account/password/", {"present": PASSWORD, "wanted": poor}).content.decode()
    assert "field-error" in html
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_passwords_are_never_sent_back(browse: Browse) -> None:
    html = browse().post("/account/password/", {"present": "my-wrong-one", "wanted": NEW}).content.decode()
    assert "my-wrong-one" not in html and NEW not in html


def test_a_borrowed_session_cannot_guess_the_password(browse: Browse, user: User) -> None:
    client = browse()
    for _ in range(ATTEMPTS):
        client.post("/account/password/", {"present": "guess", "wanted": NEW})
    response = client.post("/account/password/", {"present": PASSWORD, "wanted": NEW})
    assert response.status_code == 429 and "Too many attempts" in response.content.decode()
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


# --- sessions -----------------------------------------------------------------------------------------------


def test_one_sees_where_one_is_signed_in(browse: Browse) -> None:
    here = browse()
    browse(SAFARI)
    browse(CHROME)
    assert listed(here) == ["Firefox on Windows*", "Chrome on Linux", "Safari on iPhone"]


def test_one_session_is_ended(browse: Browse) -> None:
    here, there, third = browse(), browse(SAFARI), browse(CHROME)
    (url,) = [u for u in ends(here) if str(sign_in(there).id) in u]
    assert here.post(url)["Location"] == "/account/"
    assert is_in(here) and not is_in(there) and is_in(third)
    assert listed(here) == ["Firefox on Windows*", "Chrome on Linux"]
    # Again, as by a double click.
    assert here.post(url).status_code == 302


def sign_in(client: Client) -> SignIn:
    return SignIn.objects.get(fingerprint=session_fingerprint(client.session.session_key or ""))


def test_somebody_elses_session_cannot_be_ended(
    browse: Browse, acme: WorkspaceRef, make_user: Callable[..., User], signed_in: Callable[..., Client]
) -> None:
    here = browse()
    colleague = signed_in(make_user(acme), acme)
    colleague.get("/account/")
    here.post(f"/account/sessions/{sign_in(colleague).id}/end/")
    assert is_in(colleague)
    assert str(sign_in(colleague).id) not in here.get("/account/").content.decode()


def test_signing_out_everywhere(
    browse: Browse, user: User, acme: WorkspaceRef, make_user: Callable[..., User]
) -> None:
    here, there = browse(), browse(SAFARI)
    unseen = Client()
    unseen.force_login(user)  # no request was made with it: nothing was noted
    colleague = Client()
    colleague.force_login(make_user(acme))
    assert here.post("/account/sign-out-everywhere/")["Location"] == "/sign-in/"
    assert not any(map(is_in, (here, there, unseen)))
    assert is_in(colleague)
    # And can come back.
    assert is_in(browse())


def test_what_signing_out_everywhere_ends_holds_no_socket(browse: Browse, user: User) -> None:
    client = browse()
    fingerprint = session_fingerprint(client.session.session_key or "")
    assert session_holds(fingerprint=fingerprint, user=user)
    User.objects.update(sign_outs=1)
    user.refresh_from_db()
    assert not session_holds(fingerprint=fingerprint, user=user)


@pytest.mark.parametrize("way", ["sign-out", "expiry", "password set by an operator"])
def test_sessions_that_have_ended_are_not_listed(browse: Browse, user: User, way: str) -> None:
    here, there = browse(), browse(SAFARI)
    key = there.session.session_key
    if way == "sign-out":
        there.post("/sign-out/")
    elif way == "expiry":
        Session.objects.filter(session_key=key).update(expire_date="2020-01-01T00:00:00Z")
    else:
        user.set_password(NEW)
        user.save()
        here = browse(password=NEW)
    assert listed(here) == ["Firefox on Windows*"]
    # What was noted of them goes with the next sign-in.
    browse(CHROME, password=NEW if "operator" in way else PASSWORD)
    assert not SignIn.objects.filter(fingerprint=session_fingerprint(key or "")).exists()


def test_a_visit_is_noted_now_and_then_not_each_time(browse: Browse) -> None:
    client = browse()
    seen = sign_in(client).last_seen_at
    client.get("/account/")
    assert sign_in(client).last_seen_at == seen
    sessions.cache.clear()
    client.get("/account/")
    assert sign_in(client).last_seen_at > seen


def test_an_odd_browser_is_taken_as_it_is(browse: Browse) -> None:
    client = browse("<script>alert(1)</script>" * 50)
    html = client.get("/account/").content.decode()
    assert "Unknown device" in html and "<script>alert" not in html


@pytest.mark.parametrize(
    ("agent", "name", "is_handheld"),
    [
        (FIREFOX, "Firefox on Windows", False),
        (SAFARI, "Safari on iPhone", True),
        (CHROME, "Chrome on Linux", False),
        (f"{CHROME} Edg/140.0.0.0", "Edge on Linux", False),
        (f"{CHROME} OPR/120.0", "Opera on Linux", False),
        (CHROME.replace("X11; Linux x86_64", "Linux; Android 15; Pixel 9"), "Chrome on Android", True),
        (CHROME.replace("X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7"), "Chrome on macOS", False),
        ("curl/8.5.0", "Unknown device", False),
        ("", "Unknown device", False),
    ],
)
def test_devices_by_name(agent: str, name: str, is_handheld: bool) -> None:
    assert (device(agent).name, device(agent).is_handheld) == (name, is_handheld)


# --- who gets there -----------------------------------------------------------------------------------------


def test_ones_account_needs_no_workspace(client: Client, make_user: Callable[..., User]) -> None:
    client.force_login(make_user(None))
    html = client.get("/account/").content.decode()
    assert "My account" in html and 'href="/people/"' not in html


def test_strangers_are_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get("/account/")["Location"] == "/sign-in/?next=/account/"
    for path in ("profile", "password", "sign-out-everywhere"):
        assert client.post(f"/account/{path}/")["Location"].startswith("/sign-in/")
        assert client.get(f"/account/{path}/").status_code == 405


@pytest.mark.parametrize("path", ["/account/", "/people/", "/join/", "/join/accept/"])
def test_no_inline_style_or_script_but_the_import_map(browse: Browse, path: str) -> None:
    html = browse().get(path).content.decode()
    assert re.findall(r"<script(?![^>]*(?:importmap|src=))", html) == []
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", html)
