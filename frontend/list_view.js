// The list of conversations as it is seen: in groups by day, each with its menu.

import { el, icon } from "konstruct/dom";
import { data, daysAgo, t } from "konstruct/page";

const currentId = data.conversation?.id ?? null;
const month = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric" });

/** Which group the conversation is in: {key, name}. */
function groupOf(item) {
  if (item.pinned_at) return { key: "pinned", name: t("pinned") };
  const date = new Date(item.updated_at);
  const days = daysAgo(date);
  const key = days <= 0 ? "today" : days === 1 ? "yesterday" : days <= 7 ? "week" : days <= 30 ? "month" : null;
  if (key) return { key, name: t(key) };
  const name = month.format(date);
  return { key: `${date.getFullYear()}-${date.getMonth()}`, name: name.charAt(0).toUpperCase() + name.slice(1) };
}

export class ListView {
  #box;
  #menu;
  #rows = new Map();
  #bottom;

  /**
   * @param {HTMLElement} box
   * @param {object} on  menu(item, button): its menu is asked for; bottom(): the end of what is known is near
   */
  constructor(box, { menu, bottom }) {
    this.#box = box;
    this.#menu = menu;
    this.#bottom = new IntersectionObserver(
      (seen) => {
        if (!seen.some((entry) => entry.isIntersecting)) return;
        this.#bottom.disconnect();
        bottom();
      },
      { root: box, rootMargin: "0px 0px 400px" },
    );
  }

  /** Draw the list anew; rows stay the same elements, and the focus where it is. */
  draw(state) {
    const focused = this.#focused();
    const { scrollTop } = this.#box;
    const parts = [];
    let group = null;
    const rows = new Map();
    for (const item of state.items) {
      const { key, name } = groupOf(item);
      if (group?.key !== key) {
        const id = `day-${key}`;
        group = { key, list: el("ul", { "aria-labelledby": id }) };
        parts.push(el("h2", { id }, name), group.list);
      }
      const row = this.#rows.get(item.id) ?? this.#make();
      this.#fill(row, item);
      rows.set(item.id, row);
      group.list.append(row.element);
    }
    this.#rows = rows;
    if (!parts.length && state.cursor === null) {
      parts.push(el("p", { class: "side-empty" }, t(state.archived ? "no_archived" : "no_conversations")));
    }
    const more = state.cursor === null ? null : el("div", { class: "side-more" });
    this.#box.replaceChildren(...parts, ...(more ? [more] : []));
    this.#box.scrollTop = scrollTop;
    this.#bottom.disconnect();
    if (more) this.#bottom.observe(more);
    if (focused) this.#focusAgain(focused);
  }

  /** That the next page could not be loaded, with a button to try again. */
  sayFailed(again) {
    const button = el("button", { type: "button", class: "link", onclick: again }, t("load_failed"));
    this.#box.querySelector(".side-more")?.remove();
    this.#box.append(el("p", { class: "side-empty" }, button));
  }

  #make() {
    const row = { link: el("a"), item: null };
    const button = el("button", { type: "button", class: "row-menu", "aria-haspopup": "menu" }, icon("more"));
    button.addEventListener("click", () => this.#menu(row.item, button));
    row.button = button;
    row.element = el("li", { class: "row" }, row.link, button);
    return row;
  }

  #fill(row, item) {
    row.item = item;
    const title = item.title || t("untitled");
    if (row.link.textContent !== title) row.link.textContent = title;
    row.link.href = `/c/${item.id}`;
    row.link.title = title;
    if (item.id === currentId) row.link.setAttribute("aria-current", "page");
    row.button.setAttribute("aria-label", t("menu_of", { title }));
  }

  /** Which row has the focus, on which of its parts, and where it is. */
  #focused() {
    const element = document.activeElement?.closest(".row");
    if (!element || !this.#box.contains(element)) return null;
    const all = [...this.#box.querySelectorAll(".row")];
    return { active: document.activeElement, tag: document.activeElement.tagName, index: all.indexOf(element) };
  }

  #focusAgain({ active, tag, index }) {
    const all = [...this.#box.querySelectorAll(".row")];
    // Of a row that went, the one in its place.
    const target = active.isConnected ? active : all[Math.min(index, all.length - 1)]?.querySelector(tag.toLowerCase());
    target?.focus({ preventScroll: true });
  }
}
