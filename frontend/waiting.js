// What was typed and is not yet known to be stored, kept in this browser through reloads and closed tabs.
//
// Each unsent message has an entry of its own, so that tabs of one conversation do not take away each
// other's. Two tabs may send the same message: its id is the same, so it is stored once (PROTOCOL.md).

const PREFIX = "konstruct:";
// Nobody expects a message of another day to be sent by itself.
const SENT_BY_ITSELF = 12 * 3600 * 1000;

function read(store, key) {
  try {
    return JSON.parse(store.getItem(key));
  } catch {
    return null;
  }
}

function write(store, key, value) {
  try {
    if (value) store.setItem(key, JSON.stringify(value));
    else store.removeItem(key);
  } catch (error) {
    // Storage may be full or forbidden; the page itself still holds the text.
    console.warn("nothing can be kept for a reload", error);
  }
}

function keys(prefix) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}

/** Whoever signs out leaves nothing behind for the next one at this computer. */
export function forgetAll() {
  for (const key of keys(PREFIX)) localStorage.removeItem(key);
  sessionStorage.clear();
}

/** The draft and the unsaved messages of one conversation. */
export class Waiting {
  #draft;
  #unsaved;
  #edit;
  #queue;
  #kept = new Set();
  /** Called after another tab has changed `queue`. */
  onQueue = () => {};

  constructor(conversationId) {
    this.#draft = `${PREFIX}draft:${conversationId}`;
    this.#unsaved = `${PREFIX}unsaved:${conversationId}:`;
    this.#edit = `${PREFIX}edit:${conversationId}`;
    this.#queue = `${PREFIX}queue:${conversationId}`;
    addEventListener("storage", ({ key }) => key === this.#queue && this.onQueue());
  }

  /** The same in all tabs of this conversation, and in no other's. */
  get queueName() {
    return this.#queue;
  }

  /** What was written while an answer is: [{id, text, at}] in order. */
  get queue() {
    return read(localStorage, this.#queue) ?? [];
  }

  set queue(items) {
    write(localStorage, this.#queue, items.length ? items : null);
  }

  /** Whether the queue was written to so long ago that nobody expects it to be sent by itself. */
  get isQueueOld() {
    return this.queue.some(({ at }) => !(Date.now() - at < SENT_BY_ITSELF));
  }

  get draft() {
    return read(localStorage, this.#draft) ?? "";
  }

  set draft(text) {
    write(localStorage, this.#draft, text);
  }

  /** A message being edited in this tab: {message_id, text} or null. */
  get edit() {
    return read(sessionStorage, this.#edit);
  }

  set edit(edit) {
    write(sessionStorage, this.#edit, edit);
  }

  /** Take over what an earlier life of this page, or another tab, left: [{client_id, text, isOld}] in order. */
  takeUnsaved() {
    const found = [];
    for (const key of keys(this.#unsaved)) {
      const { text, at } = read(localStorage, key) ?? {};
      const isOld = !(Date.now() - at < SENT_BY_ITSELF);
      if (text) found.push({ client_id: key.slice(this.#unsaved.length), text, at, isOld });
      if (isOld) write(localStorage, key, null);
      else this.#kept.add(key);
    }
    return found.sort((a, b) => a.at - b.at);
  }

  /** Keep these messages, sent or to be sent, of which no `saved` has come; let go of those kept before. */
  keepUnsaved(messages) {
    const wanted = new Map(messages.map((message) => [this.#unsaved + message.client_id, message]));
    for (const key of this.#kept) {
      if (wanted.has(key)) continue;
      write(localStorage, key, null);
      this.#kept.delete(key);
    }
    for (const [key, { text, created_at: at }] of wanted) {
      if (this.#kept.has(key)) continue;
      write(localStorage, key, { text, at: Date.parse(at) });
      this.#kept.add(key);
    }
  }
}
