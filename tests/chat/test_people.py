"""What is done on the pages about people and oneself is felt at once by the sockets it concerns."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.live.backstage import Backstage
from tests.live.client import Client
from tests.live.people import Person, Place, Seat
from tests.live.servers import Server

PASSWORD = "a-long-Password-1"


@contextmanager
def browser(server: Server, session: str) -> Iterator[httpx.Client]:
    with httpx.Client(cookies={"sessionid": session}, base_url=server.url, timeout=20) as http:
        yield http


def send(http: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    """Fill in the form with that action on that page, as a browser would."""
    html = http.get(page).text
    assert f'action="{action}"' in html, html
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', html)
    assert token
    return http.post(action, data={**fields, "csrfmiddlewaretoken": token[1]})


def actions(http: httpx.Client, page: str, kind: str) -> list[str]:
    return re.findall(rf'action="([^"]+/{kind}/)"', http.get(page).text)


def session_socket(server: Server, seat: Seat, session: str) -> Client:
    return Client(server, seat, auth=seat.person.auth(session=session))


async def test_removing_somebody_closes_their_sockets_and_no_others(
    server: Server, backstage: Backstage, new_place: Place
) -> None:
    owner = backstage.person(new_place, role="admin")
    seat, colleague = backstage.seat(new_place), backstage.seat(new_place)
    theirs = backstage.session(seat.person)
    with browser(server, backstage.session(owner)) as http:
        async with (
            session_socket(server, seat, theirs) as one,
            Client(server, seat) as two,
            Client(server, colleague) as other,
        ):
            html = http.get("/people/").text
            row = html[html.index(seat.person.email) :]
            found = re.search(r'action="(/people/[^"]+/remove/)"', row)
            assert found
            assert send(http, "/people/", found[1]).status_code == 302
            assert await one.closed(2) == 4003
            assert await two.closed(2) == 4003
            await other.quiet()
            assert (await other.ask("still here")).text == "still here"
    with browser(server, theirs) as http:
        assert http.get(f"/api/conversations/{seat.conversation}").status_code == 403
        assert http.get("/people/").headers["Location"] == "/workspaces/"


async def test_signing_out_everywhere_closes_every_socket(
    server: Server, backstage: Backstage, acme: Place, globex: Place
) -> None:
    """Of all workspaces and sessions, noted or not, and those that no session asked for."""
    seat = backstage.seat(acme)
    elsewhere = backstage.seat(globex, person=backstage.join(seat.person, globex))
    bystander = backstage.seat(acme)
    here, there = backstage.session(seat.person), backstage.session(elsewhere.person)
    with browser(server, here) as http:
        async with (
            session_socket(server, seat, here) as one,
            session_socket(server, elsewhere, there) as two,
            Client(server, seat) as three,
            Client(server, bystander) as other,
        ):
            action = "/account/sign-out-everywhere/"
            assert send(http, "/account/", action).headers["Location"] == "/sign-in/"
            for client in (one, two, three):
                assert await client.closed(2) == 4003
            await other.quiet()
    for session in (here, there):
        with browser(server, session) as http:
            assert http.get("/account/").headers["Location"].startswith("/sign-in/")
        async with Client(server, seat, auth=None) as client:
            await client.send(seat.person.auth(session=session))
            assert await client.closed(5) == 4001


async def test_ending_one_session_closes_its_sockets_only(
    server: Server, backstage: Backstage, acme: Place
) -> None:
    seat = backstage.seat(acme)
    phone, laptop = backstage.session(seat.person), backstage.session(seat.person)
    with browser(server, phone) as other_browser:
        other_browser.get("/account/")
    with browser(server, laptop) as http:
        async with (
            session_socket(server, seat, phone) as one,
            session_socket(server, seat, laptop) as two,
        ):
            (end,) = actions(http, "/account/", "end")
            assert send(http, "/account/", end).status_code == 302
            assert await one.closed(2) == 4003
            await two.quiet()


async def test_a_new_password_closes_sockets_and_this_session_comes_back(
    server: Server, backstage: Backstage, acme: Place
) -> None:
    person: Person = backstage.person(acme, password=PASSWORD)
    seat = backstage.seat(acme, person=person)
    here, there = backstage.session(person), backstage.session(person)
    with browser(server, here) as http:
        async with session_socket(server, seat, here) as one, session_socket(server, seat, there) as two:
            fields = {"present": PASSWORD, "wanted": "another-Password-9"}
            answer = send(http, "/account/", "/account/password/", **fields)
            assert await one.closed(2) == 4003
            assert await two.closed(2) == 4003
        kept = answer.cookies["sessionid"]
        assert answer.status_code == 302 and kept != here
        async with session_socket(server, seat, kept) as client:
            assert (await client.ask("back")).text == "back"
