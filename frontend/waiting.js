// What was typed and is not yet known to be stored, kept for this tab through reloads.

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    if (value) sessionStorage.setItem(key, JSON.stringify(value));
    else sessionStorage.removeItem(key);
  } catch (error) {
    // Storage may be full or forbidden; the page itself still holds the text.
    console.warn("nothing can be kept for a reload", error);
  }
}

/** The draft and the unsaved messages of one conversation. */
export class Waiting {
  constructor(conversationId) {
    this.draftKey = `draft:${conversationId}`;
    this.unsavedKey = `unsaved:${conversationId}`;
  }

  get draft() {
    return read(this.draftKey) ?? "";
  }

  set draft(text) {
    write(this.draftKey, text);
  }

  /** The messages sent or to be sent, of which no `saved` has come: [{client_id, text}]. */
  get unsaved() {
    return read(this.unsavedKey) ?? [];
  }

  set unsaved(messages) {
    const kept = messages.map(({ client_id, text }) => ({ client_id, text }));
    write(this.unsavedKey, kept.length ? kept : null);
  }
}
