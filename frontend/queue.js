// Messages written while an answer is: shown above the box, to be changed or removed, sent in their order,
// one after each answer. They are kept in this browser, so that a reload loses none. Other tabs of the same
// conversation show the same ones; one of the tabs sends them, so that their order is kept.

import { el, icon } from "konstruct/dom";
import { t } from "konstruct/page";
import { EditForm } from "konstruct/tools";
import { uuid } from "konstruct/uuid";

export class Queue {
  #waiting;
  #released;
  #orphaned;
  #items;
  // By id: {text, element}.
  #rows = new Map();
  #edited = null;
  #isHeld = false;
  #leads = false;
  #timer;
  #list = el("ol");
  #held;
  #element;

  /**
   * @param {HTMLElement} form  the composer's, before which the queue is shown
   * @param {Waiting} waiting  where it is kept
   * @param {object} on  released(): what waits may be sent now; orphaned(text): what was typed into a message
   *                     that another tab has sent or removed meanwhile
   */
  constructor(form, waiting, { released, orphaned }) {
    this.#waiting = waiting;
    this.#released = released;
    this.#orphaned = orphaned;
    this.#items = waiting.queue;
    const send = el("button", { type: "button", class: "link", onclick: () => this.sendNow() }, t("queue_send"));
    this.#held = el("p", { class: "queue-held", hidden: true }, t("queue_held"), " ", send);
    const head = el("h2", { class: "queue-head" }, t("queue"));
    this.#element = el("section", { class: "queue", "aria-label": t("queue"), hidden: true }, head, this.#list, this.#held);
    form.before(this.#element);
    waiting.onQueue = () => this.#read();
    this.#draw();
    this.#lead();
  }

  get isEmpty() {
    return this.#items.length === 0;
  }

  add(text) {
    this.#write([...this.#items, { id: uuid(), text, at: Date.now() }]);
  }

  /** The one to be sent next by this tab: {id, text}; null while there is none, it is being edited, or all are held. */
  get next() {
    const [first] = this.#items;
    return !first || !this.#leads || this.#isHeld || this.#edited?.id === first.id ? null : first;
  }

  drop(id) {
    this.#rows.delete(id);
    this.#write(this.#items.filter((item) => item.id !== id));
  }

  /** The server did not take this one: it waits again, before the others. The id has to be a new one. */
  putBack(text) {
    this.#write([{ id: uuid(), text, at: Date.now() }, ...this.#items]);
  }

  /** Send none for so many seconds (0: until it is asked for). */
  hold(seconds = 0) {
    clearTimeout(this.#timer);
    this.#isHeld = true;
    if (seconds) this.#timer = setTimeout(() => this.release(), seconds * 1000);
    this.#draw();
  }

  /** Hold none any longer: an answer has ended well. */
  release() {
    clearTimeout(this.#timer);
    this.#isHeld = false;
    this.#draw();
    this.#released();
  }

  /** Send them now, and from this tab: a person has asked for it here. */
  sendNow() {
    if (!this.#leads) this.#lead({ steal: true });
    this.release();
  }

  /** Become the tab that sends: when the one that does is closed, or at once. */
  #lead({ steal = false } = {}) {
    // Missing where the page came over plain HTTP: then all tabs send, and the server stores each message once.
    if (!navigator.locks) {
      this.#leads = true;
      return;
    }
    const held = navigator.locks.request(this.#waiting.queueName, { steal }, () => {
      this.#leads = true;
      this.#released();
      return new Promise(() => {});
    });
    held.catch(() => {
      // Another tab was asked to.
      this.#leads = false;
      this.#lead();
    });
  }

  /** Another tab has changed them. */
  #read() {
    this.#items = this.#waiting.queue;
    this.#draw();
    this.#released();
  }

  #write(items) {
    this.#items = items;
    this.#waiting.queue = items;
    this.#draw();
  }

  #draw() {
    const edited = this.#edited;
    if (edited && !this.#items.some(({ id }) => id === edited.id)) {
      this.#edited = null;
      if (edited.isTyped) this.#orphaned(edited.text);
    }
    this.#element.hidden = this.isEmpty;
    this.#held.hidden = !this.#isHeld;
    const rows = this.#items.map((item) => this.#row(item));
    for (const row of [...this.#list.children]) if (!rows.includes(row)) row.remove();
    // A row that is in its place is not touched: it may hold the focus and half a word.
    rows.forEach((row, at) => this.#list.children[at] !== row && this.#list.insertBefore(row, this.#list.children[at] ?? null));
  }

  #row(item) {
    if (this.#edited?.id === item.id) return this.#edited.row;
    const known = this.#rows.get(item.id);
    if (known?.text === item.text) return known.element;
    const edit = button("edit", t("queue_edit"), () => this.#edit(item));
    const remove = button("remove", t("queue_remove"), () => this.#remove(item));
    const element = el("li", { "data-id": item.id }, el("span", { class: "queue-text" }, item.text), edit, remove);
    this.#rows.set(item.id, { text: item.text, element });
    return element;
  }

  #edit(item) {
    if (this.#edited) this.#close();
    const form = new EditForm(
      item.text,
      {
        save: (text) => {
          this.#edited = null;
          this.#write(this.#items.map((other) => (other.id === item.id ? { ...other, text } : other)));
          this.#focus(item.id);
          this.#released();
          return null;
        },
        cancel: () => this.#close(),
        draft: (text) => this.#edited && Object.assign(this.#edited, { text, isTyped: true }),
      },
      t("queue_save"),
    );
    this.#edited = { id: item.id, text: item.text, isTyped: false, row: el("li", { "data-id": item.id }, form.element) };
    this.#draw();
    form.open({ focus: true });
  }

  #close() {
    const { id } = this.#edited;
    this.#edited = null;
    this.#draw();
    this.#focus(id);
    this.#released();
  }

  #remove(item) {
    const at = this.#items.findIndex(({ id }) => id === item.id);
    this.drop(item.id);
    const neighbour = this.#items[Math.min(at, this.#items.length - 1)];
    if (neighbour) this.#focus(neighbour.id);
    else document.getElementById("text").focus({ preventScroll: true });
  }

  #focus(id) {
    this.#list.querySelector(`[data-id="${id}"] button`)?.focus({ preventScroll: true });
  }
}

function button(name, label, press) {
  const attributes = { type: "button", class: "tool", "aria-label": label, title: label, onclick: press };
  return el("button", attributes, icon(name));
}
