// Search in the side: results in place of the list while there are words in the box.

import { api } from "konstruct/http";
import { el } from "konstruct/dom";
import { data, debounce, shortTime, t } from "konstruct/page";

const currentId = data.conversation?.id ?? null;

/** Fragments as the API gives them; text is always set as text. */
function marked(fragments) {
  return fragments.map(({ text, hit }) => (hit ? el("mark", {}, text) : text));
}

function hitLink(item, hit) {
  const who = el("span", { class: "hit-by" }, `${hit.role === "user" ? t("you") : t("employee")} · ${shortTime(hit.said_at)}`);
  const snippet = el("span", { class: "hit-text" }, ...marked(hit.snippet));
  return el("li", {}, el("a", { class: "hit", href: `/c/${item.id}?message=${hit.message_id}` }, snippet, who));
}

function resultOf(item) {
  const title = item.marked_title?.length ? marked(item.marked_title) : [item.title || t("untitled")];
  const archived = item.archived_at ? el("span", { class: "tag" }, t("archived_tag")) : null;
  const link = el("a", { href: `/c/${item.id}`, "aria-current": item.id === currentId ? "page" : null }, ...title);
  const hits = item.hits.length ? el("ul", {}, ...item.hits.map((hit) => hitLink(item, hit))) : null;
  return el("li", { class: "result", "data-id": item.id }, link, archived, hits);
}

export class SearchView {
  #input;
  #box;
  #status;
  #asked = null;
  #words = "";
  #list = null;
  #bottom;

  /**
   * @param {HTMLInputElement} input
   * @param {HTMLElement} box  where the list is, and in its place the results
   * @param {object} on  ended(): the box is empty again
   */
  constructor(input, box, { ended }) {
    this.#input = input;
    this.#box = box;
    this.#status = el("p", { class: "unseen", role: "status" });
    input.closest("label").after(this.#status);
    const look = debounce(200, () => {
      const words = input.value.trim();
      if (words === this.#words) return;
      this.#words = words;
      if (words) this.#load(null);
      else this.#end(ended);
    });
    input.addEventListener("input", look);
    input.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("keydown", (event) => this.isOn && this.#walk(event));
  }

  get isOn() {
    return this.#words !== "";
  }

  /** A conversation is gone: so is its result. */
  remove(id) {
    this.#list?.querySelector(`[data-id="${id}"]`)?.remove();
  }

  #end(ended) {
    this.#asked?.abort();
    this.#list = null;
    this.#status.textContent = "";
    ended();
  }

  async #load(cursor) {
    this.#asked?.abort();
    const request = (this.#asked = new AbortController());
    const query = new URLSearchParams({ search: this.#words, ...(cursor ? { cursor } : {}) });
    let page;
    try {
      page = await api("GET", `/conversations?${query}`, { signal: request.signal });
    } catch (error) {
      if (request.signal.aborted) return;
      const sentence = error.status === 422 ? error.message : t("load_failed");
      const again = el("button", { type: "button", class: "link", onclick: () => this.#load(cursor) }, sentence);
      this.#box.replaceChildren(...(cursor ? [this.#list] : []), el("p", { class: "side-empty" }, again));
      return;
    }
    this.#show(page, cursor);
  }

  #show(page, cursor) {
    if (!cursor) {
      this.#list = el("ul", { class: "results", "aria-label": t("results") });
      this.#box.scrollTop = 0;
    }
    this.#list.append(...page.items.map(resultOf));
    const { length } = this.#list.children;
    const isAll = page.next_cursor === null;
    this.#status.textContent = length ? t("found", { count: isAll ? length : `${length}+` }) : t("nothing_found");
    const parts = [length ? this.#list : el("p", { class: "side-empty" }, t("nothing_found"))];
    const more = isAll ? null : el("div", { class: "side-more" });
    this.#box.replaceChildren(...parts, ...(more ? [more] : []));
    this.#bottom?.disconnect();
    if (!more) return;
    this.#bottom = new IntersectionObserver(
      (seen) => {
        if (!seen.some((entry) => entry.isIntersecting)) return;
        this.#bottom.disconnect();
        this.#load(page.next_cursor);
      },
      { root: this.#box, rootMargin: "0px 0px 400px" },
    );
    this.#bottom.observe(more);
  }

  #key(event) {
    if (event.key === "Escape" && this.#input.value) {
      // On a phone it would close the drawer as well.
      event.stopPropagation();
      this.#input.value = "";
      this.#input.dispatchEvent(new Event("input"));
    } else if (event.key === "ArrowDown" && this.isOn) {
      event.preventDefault();
      this.#box.querySelector("a")?.focus();
    } else if (event.key === "Enter" && this.isOn) {
      const [first] = this.#box.querySelectorAll(".result .hit, .result > a");
      first?.click();
    }
  }

  #walk(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || event.target.tagName !== "A") return;
    event.preventDefault();
    const links = [...this.#box.querySelectorAll("a")];
    const next = links.indexOf(event.target) + by;
    if (next < 0) this.#input.focus();
    else links[next]?.focus();
  }
}
