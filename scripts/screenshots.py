"""Pictures of the portal for the README, from a running Konstruct with its demo workspace.

.venv/bin/python scripts/screenshots.py http://127.0.0.1:8000 .konstruct/first-sign-in.json docs/images
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUESTION = "Write a friendly reminder about an unpaid invoice."


def sign_in(page: Page, url: str, account: dict[str, str]) -> None:
    page.goto(url)
    page.get_by_label("E-mail").fill(account["email"])
    page.get_by_label("Password").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Hello").wait_for()


def ask(page: Page, url: str) -> str:
    """Let Bruno answer; out comes the conversation's address."""
    page.get_by_role("button", name="Bruno", exact=True).click()
    page.get_by_placeholder("Message Bruno").wait_for()
    page.get_by_label("Your message").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator("#log article").nth(1).wait_for()
    page.get_by_label("Stop the answer").wait_for(state="hidden", timeout=180_000)
    return page.url


def shoot(browser: Browser, state: dict, target: Path, name: str, url: str, **options: object) -> None:
    context = browser.new_context(storage_state=state, **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=target / f"{name}.png")
    context.close()


def main(url: str, accounts: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    member = next(a for a in json.loads(accounts.read_text()) if a["role"] == "member")
    wide, phone = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport=wide)
        page = context.new_page()
        sign_in(page, url, member)
        conversation = ask(page, url)
        page.wait_for_timeout(15_000)  # the title comes by a job
        state = context.storage_state()
        context.close()
        shoot(browser, state, target, "home", url, viewport=wide)
        shoot(browser, state, target, "conversation", conversation, viewport=wide)
        shoot(browser, state, target, "conversation-dark", conversation, viewport=wide, color_scheme="dark")
        sharp = {"viewport": phone, "device_scale_factor": 2}
        shoot(browser, state, target, "conversation-phone", conversation, **sharp)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
