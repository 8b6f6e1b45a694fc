"""manage.py chat_token."""

import json
import time
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from chat.models import Conversation
from konstruct.tenancy.models import Membership
from konstruct.tenancy.tokens import BadToken, read_token
from konstruct.tenancy.workspaces import set_suspended
from tests.portal.conftest import Place, inside


def run(*args: str) -> list[dict[str, object]]:
    out = StringIO()
    call_command("chat_token", *args, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_for_each_conversation(here: Place) -> None:
    lines = run(here.user.email, "acme", "--conversations", "3")
    assert len(lines) == 3
    for line in lines:
        assert set(line) == {"conversation_id", "auth"}
        auth = line["auth"]
        assert isinstance(auth, dict) and set(auth) == {"type", "userId", "role", "tenantId", "token"}
        assert (auth["type"], auth["userId"], auth["role"]) == ("auth", str(here.user.id), "member")
        claims = read_token(auth["token"])
        assert (claims.user_id, claims.workspace_id, claims.session) == (
            here.user.id,
            here.workspace.id,
            None,
        )
    with inside(here.workspace):
        ids = [UUID(str(line["conversation_id"])) for line in lines]
        assert Conversation.objects.filter(user_id=here.user.id, id__in=ids).count() == 3


def test_the_lifetime_is_as_asked(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = (run(here.user.email, "acme", "--ttl", ttl)[0]["auth"]["token"] for ttl in ("3600", "60"))  # type: ignore[index]
    later = time.time() + 120
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    assert read_token(long).user_id == here.user.id
    with pytest.raises(BadToken):
        read_token(short)


def test_who_has_no_access_gets_none(here: Place, there: Place) -> None:
    for args in (
        ("nobody@example.com", "acme"),
        (here.user.email, "globex"),
        (here.user.email, "unknown"),
        (here.user.email, "acme", "--ttl", "0"),
        (here.user.email, "acme", "--conversations", "x"),
    ):
        with pytest.raises(CommandError):
            run(*args)
    set_suspended(slug="acme", suspended=True)
    with pytest.raises(CommandError):
        run(here.user.email, "acme")
    set_suspended(slug="acme", suspended=False)
    Membership.objects.filter(user=here.user).delete()
    with pytest.raises(CommandError):
        run(here.user.email, "acme")
