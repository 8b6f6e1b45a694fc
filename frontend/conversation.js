// The state of one conversation, built from what the page brought and the frames that follow.
// No DOM here: give it frames, read `branch()`, and be told by `changed` which messages to draw anew.

import { countPoints, dropPoints } from "konstruct/points";

/**
 * @typedef {object} Message
 * @property {string} key        stays the same while `id` changes from the client's to the server's
 * @property {number} length     code points of `text`
 * @property {string} status     "unsaved" (a user's, no `saved` yet), "running", or as on the wire
 */

export class Conversation {
  #messages = new Map();
  #send;
  #changed;
  #refused;
  #connection = 0;
  isBehind = false;

  /**
   * @param {object} info  as GET /api/conversations/{id} gives it; its messages come by `merge`
   * @param {object} on  send(frame) -> sent or not; changed(message or null); refused(message, error frame)
   */
  constructor(info, { send, changed, refused }) {
    this.id = info.id;
    this.title = info.title;
    this.agentId = info.agent_id;
    this.leaf = info.leaf_id;
    this.#send = send;
    this.#changed = changed;
    this.#refused = refused;
  }

  /** Take in messages fetched over HTTP, in any order: the first ones, or older ones. */
  merge(messages) {
    for (const fetched of messages) {
      const known = this.#messages.get(fetched.id) ?? this.#byClientId(fetched.client_id);
      const length = countPoints(fetched.text);
      // Of a running answer the database holds what was stored last; the frames may have brought more.
      const newer = known?.role === "assistant" && fetched.status === "running" && known.length >= length;
      if (newer) {
        known.parent_id = fetched.parent_id;
        continue;
      }
      if (known) this.#rename(known, fetched.id);
      this.#put({ ...fetched, key: known?.key ?? fetched.id, length });
    }
    this.#changed(null);
  }

  /** Take in the newest messages after `on_ready` found that some are missing. */
  catchUp(info, messages) {
    this.title = info.title;
    const [firstUnsaved] = this.unsaved;
    if (firstUnsaved) firstUnsaved.parent_id = info.leaf_id;
    else this.leaf = info.leaf_id;
    this.isBehind = false;
    this.merge(messages);
    this.#resumeRunning();
  }

  /** The messages from the first one known to the last one of the branch in use. */
  branch() {
    const found = [];
    const seen = new Set();
    for (let at = this.#messages.get(this.leaf); at && !seen.has(at.id); at = this.#messages.get(at.parent_id)) {
      seen.add(at.id);
      found.push(at);
    }
    return found.reverse();
  }

  get running() {
    return this.branch().find((message) => message.status === "running") ?? null;
  }

  get unsaved() {
    return [...this.#messages.values()].filter((message) => message.status === "unsaved");
  }

  /** Say something: shown at once, sent as soon as the socket is ready. */
  say(text, clientId, { attempts = 0 } = {}) {
    if (this.#byClientId(clientId)) return;
    const message = this.#put({
      id: clientId, key: clientId, client_id: clientId, parent_id: this.leaf, role: "user", text,
      length: countPoints(text), status: "unsaved", attempts, created_at: new Date().toISOString(),
    });
    this.leaf = message.id;
    this.#sendUnsaved(message);
    this.#changed(message);
  }

  stop() {
    const running = this.running;
    if (running) this.#send({ type: "stop", messageId: running.id });
  }

  /** Apply a server frame. Frames and fields that are not known are ignored (PROTOCOL.md). */
  apply(frame) {
    this[`on_${frame.type}`]?.(frame);
  }

  // --- frames ----------------------------------------------------------------------------------

  /** Connected (again). `isBehind` afterwards: there are messages that must be fetched (`catchUp`). */
  on_ready(frame) {
    const { active, last_message_id: last, agent } = frame;
    this.#connection += 1;
    if (agent) this.agentId = agent.id;
    const unknown = (id) => Boolean(id) && !this.#messages.has(id);
    this.isBehind = unknown(last) || unknown(active?.reply_to);
    if (active) this.#reply(active.message_id, active.reply_to, this.agentId);
    this.#resumeRunning();
    for (const message of this.unsaved) this.#sendUnsaved(message);
    if (last && !this.isBehind && !this.unsaved.length) this.leaf = last;
    this.#changed(null);
  }

  on_typing(frame) {
    const own = this.#byClientId(frame.ref);
    // The server's name for the message that this answers, told before it is saved.
    if (own && frame.reply_to) this.#rename(own, frame.reply_to);
    this.#changed(this.#reply(frame.message_id, frame.reply_to, frame.agent_id));
  }

  on_saved(frame) {
    const message = this.#byClientId(frame.client_id) ?? this.#messages.get(frame.message_id);
    if (!message) return;
    const again = message.attempts > 1;
    this.#rename(message, frame.message_id);
    message.status = "complete";
    this.#dropEmptyReplies(message, frame.reply_id);
    const reply = this.#reply(frame.reply_id, frame.message_id, this.agentId);
    // Sent more than once: the answer may have begun the first time, and is only followed if asked for.
    if (again && reply.status === "running") this.#resume(reply);
    this.#changed(message);
  }

  on_message(frame) {
    if (this.#messages.has(frame.message_id)) return;
    const message = this.#put({
      id: frame.message_id, key: frame.message_id, client_id: null, parent_id: frame.parent_id ?? this.leaf,
      role: frame.role, text: frame.text, length: countPoints(frame.text), status: "complete",
      agent_id: frame.agent_id ?? null, created_at: frame.created_at,
    });
    // Its answer may have been announced before it.
    const reply = [...this.#messages.values()].find((other) => other.parent_id === message.id);
    this.leaf = (reply ?? message).id;
    this.#changed(null);
  }

  on_chunk(frame) {
    const message = this.#messages.get(frame.message_id) ?? this.#reply(frame.message_id, this.leaf, this.agentId);
    if (message.status !== "running") return;
    if (frame.offset > message.length) return this.#resume(message);
    const news = dropPoints(frame.text, message.length - frame.offset);
    if (!news) return;
    message.text += news;
    message.length += countPoints(news);
    message.askedFrom = null;
    this.#changed(message);
  }

  /** The end of an answer; its text is the authority. */
  on_done(frame) {
    const known = this.#messages.get(frame.message_id);
    if (!known) return;
    const { text, status, usage = known.usage, finish_reason = "" } = frame;
    Object.assign(known, { text, length: countPoints(text), status, usage, finish_reason, askedFrom: null });
    this.#changed(known, { ended: true });
  }

  on_error(frame) {
    const own = this.#byClientId(frame.ref);
    if (own?.status === "unsaved") return this.#takeBack(own, frame);
    const answer = this.#messages.get(frame.message_id);
    if (answer) {
      answer.error = { code: frame.code, message: frame.message };
      this.#changed(answer);
    } else {
      this.#refused(null, frame);
    }
  }

  on_conversation(frame) {
    if (frame.conversation_id !== this.id || frame.title === undefined) return;
    this.title = frame.title ?? "";
    this.#changed(null);
  }

  /** Everything not yet saved is taken back: the server will not have it (a frame too large). */
  takeBackUnsaved(error) {
    for (const message of this.unsaved) this.#takeBack(message, error);
  }

  // --- inside ----------------------------------------------------------------------------------

  #put(message) {
    const present = this.#messages.get(message.id);
    // The same object stays: views hold on to it.
    if (present) return Object.assign(present, message);
    this.#messages.set(message.id, message);
    return message;
  }

  #byClientId(clientId) {
    if (!clientId) return null;
    for (const message of this.#messages.values()) if (message.client_id === clientId) return message;
    return null;
  }

  #rename(message, id) {
    if (message.id === id) return;
    this.#messages.delete(message.id);
    for (const child of this.#messages.values()) if (child.parent_id === message.id) child.parent_id = id;
    if (this.leaf === message.id) this.leaf = id;
    message.id = id;
    this.#messages.set(id, message);
  }

  /** The answer of that id, made if it is new. The branch goes on with it once its question is known. */
  #reply(id, parentId, agentId) {
    const known = this.#messages.get(id);
    const reply = known ?? this.#put({
      id, key: id, client_id: null, parent_id: parentId, role: "assistant", text: "", length: 0,
      status: "running", agent_id: agentId, created_at: new Date().toISOString(),
    });
    if (this.#messages.has(parentId) && (!known || parentId === this.leaf)) this.leaf = id;
    return reply;
  }

  #dropEmptyReplies(message, replyId) {
    for (const other of [...this.#messages.values()]) {
      if (other.parent_id !== message.id || other.id === replyId || other.length || other.status !== "running") continue;
      this.#messages.delete(other.id);
      if (this.leaf === other.id) this.leaf = message.id;
    }
  }

  #takeBack(message, error) {
    this.#dropEmptyReplies(message, null);
    this.#messages.delete(message.id);
    if (this.leaf === message.id) this.leaf = message.parent_id;
    this.#refused(message, error);
    this.#changed(null);
  }

  #sendUnsaved(message) {
    const { client_id: id, text } = message;
    const sent = this.#send({ type: "message", text, messageId: id, conversationId: this.id, ref: id });
    if (sent) message.attempts += 1;
  }

  /** Answers that ran when the connection was lost, whether they still do or ended meanwhile. */
  #resumeRunning() {
    for (const message of this.#messages.values()) if (message.status === "running") this.#resume(message);
  }

  /** Ask for all that lies past what we have; on one connection not twice for the same place. */
  #resume(message) {
    if (message.askedFrom === message.length && message.askedOn === this.#connection) return;
    if (!this.#send({ type: "resume", messageId: message.id, offset: message.length })) return;
    message.askedFrom = message.length;
    message.askedOn = this.#connection;
  }
}
