// One message as it is seen.

import { avatar, copyText, el } from "konstruct/dom";
import { MarkdownView } from "konstruct/markdown";
import { fullTime, shortTime, t } from "konstruct/page";

const UNKNOWN_FACE = { name: t("employee"), color: "#8a8577", ink: "#ffffff", initials: "?" };

/** Copy on a click, and say on the button how it went. */
async function copyFrom(button, text) {
  const label = button.textContent;
  const copied = await copyText(text);
  button.textContent = copied ? t("copied") : t("not_copied");
  setTimeout(() => (button.textContent = label), 1500);
}

export class UserMessage {
  #note = el("p", { class: "note" });

  constructor(message) {
    this.element = el(
      "article",
      { class: "message is-user", "aria-label": t("you") },
      el("div", { class: "bubble" }, message.text),
      this.#note,
    );
  }

  draw(message, { ready }) {
    const unsaved = message.status === "unsaved";
    this.element.classList.toggle("is-unsaved", unsaved);
    this.#note.textContent = unsaved ? (ready ? t("sending") : t("waiting")) : "";
  }
}

export class Answer {
  #text = el("div", { class: "prose" });
  #note = el("p", { class: "note", hidden: true });
  #tools = el("div", { class: "tools", hidden: true });
  #dots = el("p", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
  #markdown = new MarkdownView(this.#text);
  #drawn = null;
  #message;

  constructor(message, face = UNKNOWN_FACE) {
    this.#message = message;
    this.name = face.name;
    const time = el("time", { datetime: message.created_at, title: fullTime(message.created_at) });
    time.textContent = shortTime(message.created_at);
    const copy = el("button", { type: "button", onclick: () => copyFrom(copy, this.#message.text) }, t("copy"));
    this.#tools.append(copy);
    this.element = el(
      "article",
      { class: "message is-answer", "aria-label": face.name },
      avatar(face),
      el(
        "div",
        { class: "message-body" },
        el("p", { class: "by" }, el("strong", {}, face.name), time),
        this.#text,
        this.#dots,
        this.#note,
        this.#tools,
      ),
    );
    this.#text.addEventListener("click", (event) => {
      const button = event.target.closest(".copy-code");
      if (button) copyFrom(button, button.closest(".code").querySelector("code").textContent);
    });
  }

  draw(message) {
    this.#message = message;
    const running = message.status === "running";
    if (message.text !== this.#drawn) {
      this.#markdown.draw(message.text);
      this.#drawn = message.text;
    }
    this.element.classList.toggle("is-running", running);
    this.element.setAttribute("aria-busy", String(running));
    this.#dots.hidden = !running || message.text !== "";
    this.#tools.hidden = running || message.text === "";
    const note = running ? "" : endingOf(message);
    this.#note.hidden = note === "";
    this.#note.textContent = note;
    this.#note.classList.toggle("is-bad", message.status === "failed");
  }
}

/** What has to be said about how the answer ended; nothing if it is complete. */
function endingOf({ status, error, finish_reason: reason, text }) {
  if (status === "stopped") return t("stopped");
  if (status === "interrupted") return t("interrupted");
  if (status === "failed") return error?.message && error.message !== text ? error.message : text ? "" : t("failed");
  return reason === "length" ? t("length") : "";
}
