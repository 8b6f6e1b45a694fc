"""`python -m benchmarks.page`: what a person sees of the conversation page. See docs/benchmarks.md.

A whole Konstruct by `bin/run`, the fake upstream for a model, Debian's Chromium without a window. Measured in
the page itself: how soon a conversation can be used on a cold load and what that fetches; and how evenly the
screen is drawn while an answer comes at 100 tokens/s into a conversation of 200 messages. With the
processor as it is, and slowed down four times, as a cheap phone is.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS, Running, answered_by, running, sign_in
from tests.e2e.scene import Scene
from tests.upstream import Upstream

MESSAGES = 200
TOKENS_PER_SECOND = 100
SECONDS = 15.0
LOADS = 9
SLOWDOWNS = (1, 4)
# A frame of a 60 Hz screen (ms).
FRAME = 1000 / 60
KINDS = (Path(__file__).parent.parent / "tests" / "e2e" / "corpus" / "kinds.md").read_text()

# When the first message is there, and when the page can do all it can: its socket stands, its newest answer
# can be written anew. By the page's own clock, whose zero is the navigation.
WATCH_LOAD = """
window.marks = {};
const note = (name, is) => { if (!(name in marks) && is) marks[name] = performance.now(); };
new MutationObserver(() => {
    note("messages", document.querySelector("#log article"));
    const again = [...document.querySelectorAll("[data-tool=regenerate]")].at(-1);
    note("usable", again && !again.hidden && !again.hasAttribute("aria-disabled"));
}).observe(document, { childList: true, subtree: true, attributes: true });
"""
WATCH_FRAMES = """() => {
    window.gaps = [];
    window.busy = [];
    let last = performance.now();
    const frame = (now) => { gaps.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    new PerformanceObserver((list) => busy.push(...list.getEntries().map((entry) => entry.duration)))
        .observe({ type: "longtask" });
}"""


def load(browser: Browser, state: Any, url: str, slowdown: int) -> dict[str, float]:
    """Times (ms) of one load with an empty cache, and what was sent for it."""
    context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 800})
    context.add_init_script(WATCH_LOAD)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url)
    page.wait_for_function("() => 'usable' in window.marks", timeout=60_000)
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
    marks: dict[str, float] = page.evaluate(f"({{ paint: {paint}, ...window.marks }})")
    page.wait_for_load_state("networkidle")
    context.close()
    return {**marks, "requests": len(sizes), "KiB": sum(sizes) / 1024}


def counters(session: CDPSession) -> dict[str, float]:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def bring_all(page: Page) -> None:
    """Go up until all messages are in the page, and back to its end."""
    articles = page.locator("#log article")
    while (count := articles.count()) < MESSAGES:
        page.evaluate("document.getElementById('scroll').scrollTop = 0")
        page.wait_for_function(f"() => document.querySelectorAll('#log article').length > {count}")
    page.get_by_role("button", name="Newest").click()
    page.wait_for_function("() => document.getElementById('down').hidden")


def stream(context: BrowserContext, url: str, slowdown: int) -> dict[str, float]:
    """How evenly the screen is drawn while an answer of all kinds of Markdown comes."""
    page = context.new_page()
    page.goto(url)
    page.locator("#log article").first.wait_for()
    bring_all(page)
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    page.get_by_label("Your message", exact=True).fill("\n\n".join([KINDS] * 16))
    page.keyboard.press("Enter")
    page.locator("#log article.is-running .block").first.wait_for()
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    page.evaluate(WATCH_FRAMES)
    text = "document.querySelector('#log .is-running .prose').textContent.length"
    before, length = counters(session), page.evaluate(text)
    page.wait_for_timeout(SECONDS * 1000)
    after, gaps, busy = counters(session), page.evaluate("gaps.slice(1)"), page.evaluate("busy")
    written = page.evaluate(text) - length
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.get_by_label("Stop the answer").click()
    page.get_by_label("Stop the answer").wait_for(state="hidden")
    page.close()
    time = after["Timestamp"] - before["Timestamp"]
    ordered = sorted(gaps)
    return {
        "frames": len(gaps),
        "dropped": sum(max(0, round(gap / FRAME) - 1) for gap in gaps),
        "longest ms": ordered[-1],
        "p99 ms": ordered[int(len(ordered) * 0.99)],
        "long tasks": len(busy),
        "main thread %": 100 * (after["TaskDuration"] - before["TaskDuration"]) / time,
        "script %": 100 * (after["ScriptDuration"] - before["ScriptDuration"]) / time,
        "layout %": 100 * (after["LayoutDuration"] - before["LayoutDuration"]) / time,
        "characters/s": written / time,
    }


def signed_in(browser: Browser, konstruct: Running) -> Any:
    context = browser.new_context()
    sign_in(context.new_page(), konstruct, "member")
    state = context.storage_state()
    context.close()
    return state


def measure() -> dict[str, Any]:
    with (
        Upstream() as upstream,
        running(**answered_by(upstream)) as konstruct,
        sync_playwright() as playwright,
    ):
        scene = Scene(konstruct.home)
        scene.employ(Ada=f"echo-{TOKENS_PER_SECOND}")
        texts = [f"Question {n}" if n % 2 == 0 else f"Answer {n}\n\n{KINDS}" for n in range(MESSAGES)]
        url = f"{konstruct.url}/c/{scene.history(konstruct.account('member')['email'], 'Ada', texts)}"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        state = signed_in(browser, konstruct)
        found: dict[str, Any] = {"loads": {}, "streams": {}}
        for slowdown in SLOWDOWNS:
            print(f"loading, processor slowed {slowdown}x ...", file=sys.stderr)
            loads = [load(browser, state, url, slowdown) for _ in range(LOADS)]
            found["loads"][slowdown] = {name: [one[name] for one in loads] for name in loads[0]}
        context = browser.new_context(storage_state=state, viewport={"width": 1280, "height": 800})
        for slowdown in SLOWDOWNS:
            print(f"streaming, processor slowed {slowdown}x ...", file=sys.stderr)
            found["streams"][slowdown] = stream(context, url, slowdown)
        browser.close()
    return found


def report(found: dict[str, Any]) -> None:
    print("| cold load | painted ms | messages ms | usable ms p50 / worst | requests | KiB |")
    print(f"|{'---|' * 6}")
    for slowdown, all_of in found["loads"].items():
        middle = {name: median(values) for name, values in all_of.items()}
        worst = max(all_of["usable"])
        print(
            f"| processor {slowdown}x slower | {middle['paint']:.0f} | {middle['messages']:.0f} "
            f"| {middle['usable']:.0f} / {worst:.0f} | {middle['requests']:.0f} | {middle['KiB']:.0f} |"
        )
    names = list(next(iter(found["streams"].values())))
    print(f"\n| streaming | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for slowdown, one in found["streams"].items():
        print(f"| processor {slowdown}x slower | {' | '.join(f'{value:.4g}' for value in one.values())} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write all figures there too")
    arguments = parser.parse_args()
    figures = measure()
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
