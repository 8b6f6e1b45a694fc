// The list of conversations as far as it is known: pages from the server, and what is told of changes. No DOM.

/** Later first, as the server sorts. Times come with milli- or microseconds, so they are compared as such. */
function byTime(one, other) {
  const difference = Date.parse(other.updated_at) - Date.parse(one.updated_at);
  return difference || (one.id < other.id ? 1 : -1);
}

export class ListState {
  #items = new Map();
  /** Of the next page; null: all of the list is known. */
  cursor = null;

  /** @param {boolean} archived  whether this is the list of the archive */
  constructor(archived = false) {
    this.archived = archived;
  }

  /** All that is known, in order: the pinned ones first. */
  get items() {
    const all = [...this.#items.values()];
    const pinned = all.filter((item) => item.pinned_at).sort(byTime);
    return [...pinned, ...all.filter((item) => !item.pinned_at).sort(byTime)];
  }

  /** Begin anew with the first page; what was known beyond it is fetched again when it is looked for. */
  reset(page) {
    this.#items = new Map();
    this.add(page);
  }

  /** Take in the next page. */
  add(page) {
    for (const item of page.items) this.#items.set(item.id, item);
    this.cursor = page.next_cursor;
  }

  /** A conversation is listed so now. False: nothing to be seen of it. */
  put(item) {
    const known = this.#items.get(item.id);
    if (this.archived !== Boolean(item.archived_at)) return this.#items.delete(item.id);
    if (!known && !this.#isInReach(item)) return false;
    const same = known && ["title", "updated_at", "pinned_at"].every((name) => known[name] === item[name]);
    this.#items.set(item.id, { ...known, ...item });
    return !same;
  }

  /** Some of what is known of a conversation has changed. */
  patch(id, changes) {
    const known = this.#items.get(id);
    return known ? this.put({ ...known, ...changes }) : false;
  }

  remove(id) {
    return this.#items.delete(id);
  }

  /** Whether it belongs among those known; else a later page will bring it. */
  #isInReach(item) {
    if (this.cursor === null || item.pinned_at) return true;
    const last = this.items.at(-1);
    return !last || last.pinned_at !== null || byTime(item, last) < 0;
  }
}
