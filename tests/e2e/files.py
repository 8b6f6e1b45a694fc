"""Conversations as files (chat.export), made up: how a test fills somebody's list."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Page

Json = dict[str, Any]


def conversation_file(title: str, *texts: str, days_ago: float = 0) -> Json:
    """One in which these were said, by person and employee in turn."""
    begun = datetime.now(UTC) - timedelta(days=days_ago, minutes=len(texts))
    messages = [
        {
            "id": number,
            "parent": number - 1 or None,
            "role": "user" if number % 2 else "assistant",
            "text": text,
            "created_at": (begun + timedelta(minutes=number)).isoformat(),
            "status": "complete",
            "error": "",
            "employee": None if number % 2 else "Ada",
            "model": "",
            "finish_reason": "",
            "duration_ms": None,
            "feedback": "",
            "feedback_comment": "",
        }
        for number, text in enumerate(texts, start=1)
    ]
    return {
        "format": "konstruct-conversation",
        "version": 1,
        "exported_at": datetime.now(UTC).isoformat(),
        "title": title,
        "employee": "Ada",
        "created_at": begun.isoformat(),
        "messages": messages,
        "leaf": len(texts) or None,
    }


def take_in(page: Page, file: Json) -> str:
    """Import the file as the person of this page; out comes the conversation's id."""
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "csrftoken")
    sent = {"name": "conversation.json", "mimeType": "application/json", "buffer": json.dumps(file).encode()}
    response = page.request.post(
        f"{page.url.split('/', 3)[0]}//{page.url.split('/')[2]}/api/conversations/import",
        headers={"X-CSRFToken": token},
        multipart={"file": sent},
    )
    assert response.status == 201, response.text()
    return str(response.json()["id"])
