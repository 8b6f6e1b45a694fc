// Which memories an answer was given: a quiet line below it that opens.

import { el } from "konstruct/dom";
import { api } from "konstruct/http";
import { counted, source, when } from "konstruct/memories";
import { t } from "konstruct/page";

export class Given {
  #ids = [];
  #loaded = false;
  #summary = el("summary");
  #list = el("ul");
  element = el("details", { class: "given", hidden: true }, this.#summary, this.#list);

  constructor() {
    this.element.addEventListener("toggle", () => this.element.open && this.#load());
  }

  /** @param {string[]} ids  the memories that the answer's prompt held */
  draw(ids) {
    if (ids.length === this.#ids.length && ids.every((id, index) => id === this.#ids[index])) return;
    this.#ids = ids;
    this.#loaded = false;
    this.element.hidden = ids.length === 0;
    this.#summary.textContent = counted("given", ids.length);
    this.#list.replaceChildren();
    if (this.element.open && ids.length) this.#load();
  }

  /** Fetched anew each time it is opened: meanwhile something may have been forgotten. */
  async #load() {
    const ids = this.#ids;
    try {
      const { items } = await api("GET", `/memories/given?${new URLSearchParams(ids.map((id) => ["id", id]))}`);
      if (ids !== this.#ids) return;
      const known = new Map(items.map((memory) => [memory.id, memory]));
      this.#list.replaceChildren(...ids.map((id) => this.#row(known.get(id))));
      this.#loaded = true;
    } catch (error) {
      console.warn("the memories of an answer could not be loaded", error);
      if (!this.#loaded) this.#list.replaceChildren(el("li", {}, error.status === 422 ? error.message : t("load_failed")));
    }
  }

  #row(memory) {
    if (!memory) return el("li", { class: "is-gone" }, t("given_forgotten"));
    const look = el("a", { href: `/memory?show=${memory.id}`, "aria-label": t("given_look", { text: memory.text }) }, memory.text);
    const from = memory.shared ? t("memory_shared") : source(memory);
    const facts = [from, when(memory.said_at), memory.superseded_at ? t("memory_superseded") : null].filter(Boolean);
    const spaced = facts.flatMap((part, index) => (index ? [" · ", part] : [part]));
    return el("li", {}, el("span", { class: "given-text" }, look), el("span", { class: "given-facts" }, ...spaced));
  }
}
