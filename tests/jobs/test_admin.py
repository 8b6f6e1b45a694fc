"""What the platform's operators see of jobs, and can do about those that failed."""

import re

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Role, User
from tests.conftest import MakeUser, SignedIn
from tests.jobs.conftest import read_rows

LIST = "/admin/procrastinate/procrastinatejob/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _light_settings(settings: Settings) -> None:
    """As in tests.admin: pages without collectstatic, people without argon2."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "whitenoise" not in name]


@pytest.fixture
def client(superuser: User, signed_in: SignedIn) -> Client:
    return signed_in(superuser)


def job(workspace: WorkspaceRef, status: str) -> int:
    args = {"workspace_id": str(workspace.id), "message_id": "secret-argument"}
    job_keeping.add(task="chat.remember", lock="secret-lock", queueing_lock=None, args=args)
    job_id = int(read_rows()[-1]["id"])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s;"
            " UPDATE procrastinate_jobs SET status = %s, lock = NULL WHERE id = %s",
            [job_id, status, job_id],
        )
    return job_id


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_a_failed_job_says_whose_it_is_how_often_it_failed_and_why(
    client: Client, acme: WorkspaceRef
) -> None:
    failed = job(acme, "failed")
    for _ in range(3):
        job_keeping.note_failure(
            job_id=failed, error="Transport", sentence="The model cannot be reached.", limit=3
        )
    page = client.get(LIST).content.decode()
    shown = text(page)
    assert "chat.remember Acme failed 3 The model cannot be reached. (Transport)" in shown
    assert "secret-argument" not in page and "secret-lock" not in page


def test_a_held_job_is_told_from_one_that_waits(client: Client, acme: WorkspaceRef) -> None:
    job(acme, "todo")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = %s", [job_keeping.HELD])
    job(acme, "todo")
    shown = text(client.get(LIST).content.decode())
    assert "chat.remember Acme held 0" in shown and "chat.remember Acme waits 0" in shown
    assert "2999" not in shown


def test_an_operator_has_failed_jobs_tried_again_and_leaves_the_others(
    client: Client, acme: WorkspaceRef
) -> None:
    failed, running = job(acme, "failed"), job(acme, "doing")
    job_keeping.note_failure(job_id=failed, error="E", sentence="It failed.", limit=1)
    chosen = {"action": "try_again", "_selected_action": [str(failed), str(running)]}
    assert "1 failed job waits again." in client.post(LIST, chosen, follow=True).content.decode()
    assert [(row["id"], row["status"], row["attempts"]) for row in read_rows()] == [
        (failed, "todo", 0),
        (running, "doing", 0),
    ]


def test_jobs_are_the_platforms_not_a_workspaces(
    acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    failed = job(acme, "failed")
    client = signed_in(make_user(acme, Role.OWNER), acme)
    chosen = {"action": "try_again", "_selected_action": [str(failed)]}
    assert client.get(LIST).status_code == 403
    assert client.post(LIST, chosen).status_code == 403
    assert [row["status"] for row in read_rows()] == ["failed"]


def test_the_list_filters_searches_and_sorts(client: Client, acme: WorkspaceRef) -> None:
    job(acme, "failed")
    columns = range(1, 8)
    for query in ("status=failed", "task_name=chat.remember", "q=remember", *(f"o={n}" for n in columns)):
        assert "chat.remember" in client.get(f"{LIST}?{query}").content.decode(), query
