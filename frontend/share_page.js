// A conversation that somebody has shared: read only, its older messages fetched as one scrolls up.

import { api } from "konstruct/http";
import { avatar, copyText, el } from "konstruct/dom";
import { MarkdownView } from "konstruct/markdown";
import { data, fullTime, shortTime, t } from "konstruct/page";
import { startSidebar } from "konstruct/sidebar";

const box = document.getElementById("log");
const scroll = document.getElementById("scroll");
const faces = new Map(data.agents.map((face) => [face.id, face]));
const UNKNOWN = { name: t("employee"), color: "#8a8577", ink: "#ffffff", initials: "?" };
let cursor = data.messages.next_cursor;

function time(message) {
  return el("time", { datetime: message.created_at, title: fullTime(message.created_at) }, shortTime(message.created_at));
}

function drawMessage(message) {
  if (message.role === "user") {
    const bubble = el("div", { class: "bubble" }, message.text);
    return el("article", { class: "message is-user", "aria-label": data.shared.shared_by }, bubble);
  }
  const face = faces.get(message.agent_id) ?? UNKNOWN;
  const prose = el("div", { class: "prose" });
  new MarkdownView(prose).draw(message.text);
  const note = { stopped: t("stopped"), interrupted: t("interrupted"), failed: t("failed") }[message.status];
  const body = el("div", { class: "message-body" }, el("p", { class: "by" }, el("strong", {}, face.name), time(message)), prose);
  if (note && !message.text) body.append(el("p", { class: "note" }, note));
  return el("article", { class: "message is-answer", "aria-label": face.name }, avatar(face), body);
}

box.addEventListener("click", async ({ target }) => {
  const button = target.closest(".copy-code");
  if (!button) return;
  const copied = await copyText(button.closest(".code").querySelector("code").textContent);
  button.textContent = copied ? t("copied") : t("not_copied");
  setTimeout(() => (button.textContent = t("copy")), 1500);
});

/** Messages come the last one first. */
function put(messages) {
  box.prepend(...messages.map(drawMessage).reverse());
}

function startOlder() {
  const top = el("div", { class: "older", "aria-hidden": "true" });
  box.before(top);
  const seen = new IntersectionObserver(
    async ([entry]) => {
      if (!entry.isIntersecting || !cursor) return;
      seen.unobserve(top);
      try {
        const page = await api("GET", `/shared/${data.shared.id}/messages?size=100&cursor=${cursor}`);
        cursor = page.next_cursor;
        const fromEnd = scroll.scrollHeight - scroll.scrollTop;
        put(page.items);
        scroll.scrollTop = scroll.scrollHeight - fromEnd;
        seen.observe(top);
      } catch (error) {
        console.warn("older messages could not be loaded", error);
        setTimeout(() => seen.observe(top), 5000);
      }
    },
    { root: scroll, rootMargin: "600px 0px 0px" },
  );
  seen.observe(top);
}

startSidebar();
put(data.messages.items);
scroll.scrollTop = scroll.scrollHeight;
startOlder();
