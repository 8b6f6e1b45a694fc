// Memories as they are seen on the memory page: one of them, and a list that grows.

import { el } from "konstruct/dom";
import { api } from "konstruct/http";
import { daysAgo, fullTime, shortTime, t } from "konstruct/page";

// Longer texts are cut on the screen until they are asked for (css/memory.css).
const LONG = 320;
const UNSURE = 0.6;

/** `one` or `many`, by the number: "1 memory", "2 memories". */
export function counted(name, count) {
  return t(count === 1 ? `${name}_one` : `${name}_many`, { count });
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** To the day; of today, to the minute. */
export function when(iso) {
  const time = el("time", { datetime: iso, title: fullTime(iso) });
  time.textContent = daysAgo(new Date(iso)) === 0 ? shortTime(iso) : day.format(new Date(iso));
  return time;
}

function excerpt(text) {
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

/** Where a memory comes from: a link to the conversation, if it still exists. */
export function source({ kind, conversation }) {
  if (conversation) return el("a", { href: `/c/${conversation.id}` }, conversation.title || t("untitled"));
  return kind === "note" ? null : el("span", {}, t("memory_gone_conversation"));
}

function dotted(...parts) {
  const shown = parts.filter(Boolean);
  return shown.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

/** A text that is cut after some lines, with a button for the rest. */
function longText(text, attributes = {}) {
  const box = el("p", { ...attributes, class: "memory-text" }, text);
  if (text.length <= LONG && text.split("\n").length <= 4) return [box];
  box.classList.add("is-cut");
  const more = el("button", { type: "button", class: "link memory-more", "aria-expanded": "false" }, t("memory_more"));
  more.addEventListener("click", () => {
    const open = !box.classList.toggle("is-cut");
    more.setAttribute("aria-expanded", String(open));
    more.textContent = open ? t("memory_less") : t("memory_more");
  });
  return [box, more];
}

/** One memory: its text, where and when it was said, what was believed before, and what can be done with it. */
export class MemoryItem {
  #memory;
  #on;
  #limit;
  #problem = el("p", { class: "field-error", role: "alert", hidden: true });

  /**
   * @param {object} on  path: where the API has it ("/memories" or "/memories/notes");
   *                     edited(memory); forgotten(item); face(id): whose memory to say, or null;
   *                     verb: "forget" or "remove"; fixed: it can only be read; limit: characters of an own wording
   */
  constructor(memory, on) {
    this.#on = on;
    this.#limit = on.limit;
    this.element = el("li", { class: "memory" });
    this.draw(memory);
  }

  get memory() {
    return this.#memory;
  }

  /** Show what is new of it; unless the reader is at work in it. */
  update(memory) {
    const isNew = JSON.stringify(memory) !== JSON.stringify(this.#memory);
    if (isNew && !this.element.contains(document.activeElement)) this.draw(memory);
  }

  draw(memory) {
    this.#memory = memory;
    const actions = this.#actions();
    const of = this.#on.face?.(memory) ?? null;
    const place = source(memory);
    const facts = dotted(
      of && el("strong", {}, of),
      memory.shared && memory.employee ? t("memory_for", { name: memory.employee.name }) : null,
      place,
      when(memory.said_at),
      memory.times_said > 1 ? this.#repeated(memory) : null,
      memory.kind === "fact" && memory.confidence !== null && memory.confidence < UNSURE && !memory.edited_at
        ? t("memory_unsure") : null,
      memory.edited_at ? t("memory_edited") : null,
      memory.superseded_at ? t("memory_superseded") : null,
    );
    this.element.replaceChildren(
      ...longText(memory.text),
      el("div", { class: "memory-foot" }, el("p", { class: "memory-facts" }, ...facts), actions),
      ...this.#history(),
      this.#problem,
    );
    this.#problem.hidden = true;
  }

  #repeated({ times_said: count, confirmed_at: last }) {
    return el("span", {}, `${t("memory_times", { count })} `, when(last));
  }

  #actions() {
    if (this.#on.fixed) return null;
    const words = excerpt(this.#memory.text);
    const button = (name, press, verb = name) =>
      el("button", { type: "button", class: "memory-act", "data-act": name, onclick: press,
        "aria-label": t(`memory_${verb}_this`, { text: words }) }, t(`memory_${verb}`));
    const edit = this.#memory.superseded_at ? null : button("edit", () => this.#edit());
    return el("div", { class: "memory-acts" }, edit, button("forget", () => this.#forget(), this.#on.verb));
  }

  #history() {
    const { history } = this.#memory;
    if (!history.length) return [];
    const rows = history.map((earlier) =>
      el("li", {}, ...longText(earlier.text), el("p", { class: "memory-facts" },
        ...dotted(source(earlier), when(earlier.said_at), el("span", {}, `${t("memory_until")} `, when(earlier.superseded_at))))));
    return [el("details", { class: "memory-history" },
      el("summary", {}, counted("memory_earlier", history.length)), el("ul", {}, ...rows))];
  }

  /** Put the focus on the button of that name. */
  focus(name = "forget") {
    this.element.querySelector(`[data-act=${name}]`)?.focus();
  }

  #say(sentence) {
    this.#problem.textContent = sentence;
    this.#problem.hidden = false;
  }

  #edit() {
    const text = el("textarea", { "aria-label": t("memory_edit_label"), rows: 2, maxlength: this.#limit, autocomplete: "off" });
    text.value = this.#memory.text;
    const fit = () => {
      text.style.height = "auto";
      text.style.height = `${text.scrollHeight + 2}px`;
    };
    const close = () => {
      this.draw(this.#memory);
      this.focus("edit");
    };
    const cancel = el("button", { type: "button", class: "button is-small", onclick: close }, t("cancel"));
    const save = el("button", { class: "button is-small is-main" }, t("memory_save"));
    const form = el("form", { class: "memory-form" }, text, this.#problem, el("div", { class: "actions" }, cancel, save));
    this.#problem.hidden = true;
    form.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") close();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (save.disabled) return;
      save.disabled = true;
      try {
        const edited = await api("PATCH", `${this.#on.path}/${this.#memory.id}`, { body: { text: text.value } });
        this.draw(edited);
        this.focus("edit");
        this.#on.edited(edited);
      } catch (error) {
        save.disabled = false;
        this.#say(error.status === 422 || error.status === 404 ? error.message : t("memory_edit_failed"));
      }
    });
    text.addEventListener("input", fit);
    this.element.replaceChildren(form);
    fit();
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  async #forget() {
    const button = this.element.querySelector("[data-act=forget]");
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    try {
      await api("DELETE", `${this.#on.path}/${this.#memory.id}`);
    } catch (error) {
      // Forgotten elsewhere: that is what was wanted.
      if (error.status !== 404) {
        button.removeAttribute("aria-disabled");
        return this.#say(t("memory_forget_failed"));
      }
    }
    this.#on.forgotten(this);
  }
}

/** Memories, one below the other; the next page on a button. */
export class MemoryList {
  #items = new Map();
  #on;
  #query;
  #cursor = null;
  #box = el("ul", { class: "memories" });
  #more = el("button", { type: "button", class: "button is-small", hidden: true }, t("memory_show_more"));
  #problem = el("p", { class: "field-error", role: "alert", hidden: true });
  #asked = null;

  /**
   * @param {object} query  what the API is asked for beside cursor and size
   * @param {object} on     as MemoryItem's
   */
  constructor(query, on) {
    this.#query = query;
    this.#on = on;
    this.#more.addEventListener("click", () => this.#next());
    this.element = el("div", { class: "memory-list" }, this.#box, this.#problem, this.#more);
  }

  get size() {
    return this.#items.size;
  }

  /** Show this page, as the API gives it, in the place of what is shown. Items that stay keep their element. */
  show({ items, next_cursor: cursor }) {
    const kept = new Map();
    for (const memory of items) {
      const item = this.#items.get(memory.id);
      item?.update(memory);
      kept.set(memory.id, item ?? new MemoryItem(memory, this.#on));
    }
    for (const [id, item] of this.#items) if (!kept.has(id)) item.element.remove();
    this.#items = kept;
    let place = null;
    for (const { element } of kept.values()) {
      // Moved only if it must be: what is moved loses the focus.
      if ((place ? place.nextElementSibling : this.#box.firstElementChild) !== element) {
        if (place) place.after(element);
        else this.#box.prepend(element);
      }
      place = element;
    }
    this.#setCursor(cursor);
  }

  /** Ask for what is shown anew; with another query if one is given. Resolves to false if it was overtaken. */
  async reload(query = this.#query) {
    const isSame = query === this.#query;
    this.#query = query;
    this.#asked?.abort();
    const request = (this.#asked = new AbortController());
    const size = Math.min(100, Math.max(10, isSame ? this.size : 0));
    const page = await api("GET", this.#path({ size }), { signal: request.signal });
    if (request.signal.aborted) return false;
    this.show(page);
    return true;
  }

  async #next() {
    this.#more.disabled = true;
    this.#problem.hidden = true;
    try {
      const page = await api("GET", this.#path({ cursor: this.#cursor }));
      const before = [...this.#items.values()].map((item) => item.memory);
      const [first] = page.items.filter(({ id }) => !this.#items.has(id));
      this.show({ items: [...before, ...page.items], next_cursor: page.next_cursor });
      // The button may be gone; the reader goes on with what it brought.
      if (first) this.#items.get(first.id).focus("forget");
    } catch (error) {
      this.#problem.textContent = error.status ? error.message : t("load_failed");
      this.#problem.hidden = false;
    }
    this.#more.disabled = false;
  }

  #setCursor(cursor) {
    this.#cursor = cursor;
    this.#more.hidden = !cursor;
  }

  #path(more) {
    return `${this.#on.path}?${new URLSearchParams({ ...this.#query, ...more })}`;
  }

  /** The item that comes after this one is gone, or before it; null: it is the only one. */
  neighbour(item) {
    const all = [...this.#items.values()];
    const index = all.indexOf(item);
    return index < 0 ? null : (all[index + 1] ?? all[index - 1] ?? null);
  }

  add(memory) {
    const items = [memory, ...[...this.#items.values()].map((item) => item.memory)];
    this.show({ items, next_cursor: this.#cursor });
  }

  remove(id) {
    const items = [...this.#items.values()].map((item) => item.memory).filter((memory) => memory.id !== id);
    this.show({ items, next_cursor: this.#cursor });
  }
}
