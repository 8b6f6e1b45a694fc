"""The token of the socket's first frame."""

import uuid

import pytest
from django.core import signing

from konstruct.tenancy.tokens import BadToken, issue_token, read_token, session_fingerprint

USER, WORKSPACE = uuid.uuid4(), uuid.uuid4()


def test_a_token_says_who_and_where() -> None:
    claims = read_token(issue_token(user_id=USER, workspace_id=WORKSPACE, session_key="abc"))
    assert (claims.user_id, claims.workspace_id) == (USER, WORKSPACE)
    assert claims.session == session_fingerprint("abc")


def test_the_session_key_itself_is_not_in_the_token() -> None:
    token = issue_token(user_id=USER, workspace_id=WORKSPACE, session_key="secretsessionkey")
    assert "secretsessionkey" not in str(signing.b64_decode(token.split(":")[0].encode()))


def test_an_old_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue_token(user_id=USER, workspace_id=WORKSPACE, session_key=None)
    now = signing.time.time()
    monkeypatch.setattr(signing.time, "time", lambda: now + 59)
    read_token(token)
    monkeypatch.setattr(signing.time, "time", lambda: now + 62)
    with pytest.raises(BadToken):
        read_token(token)


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1] + "A" * (t[-1] != "A"), lambda t: "", lambda t: t[5:], lambda t: "a:b:c"]
)
def test_a_damaged_token_is_refused(damage) -> None:  # type: ignore[no-untyped-def]
    token = issue_token(user_id=USER, workspace_id=WORKSPACE, session_key=None)
    while token.endswith("A"):
        token = issue_token(user_id=uuid.uuid4(), workspace_id=WORKSPACE, session_key=None)
    with pytest.raises(BadToken):
        read_token(damage(token))


def test_another_kind_of_signature_is_no_token() -> None:
    with pytest.raises(BadToken):
        read_token(signing.dumps({"u": USER.hex, "w": WORKSPACE.hex, "s": None, "t": 60}))
