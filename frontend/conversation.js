// The state of one conversation, built from what the page brought and the frames that follow.
// No DOM here: give it frames, read `branch()`, and be told by `changed` which messages to draw anew.
//
// Messages form a tree: an answer written anew and a message edited are siblings of the first, its
// versions. `leaf` is the end of the branch that is shown.

import { countPoints, dropPoints } from "konstruct/points";
import { uuid } from "konstruct/uuid";

const ACK_EVERY = 1000;

/**
 * @typedef {object} Message
 * @property {string} key        stays the same while `id` changes from the client's to the server's
 * @property {number} length     code points of `text`
 * @property {string} status     "unsaved" (a user's, no `saved` yet), "running", or as on the wire
 * @property {object} [asked]    of a message or answer made here, not yet confirmed: {ref, from, leaf}, the
 *                               version it was made from and the branch shown before
 */

export class Conversation {
  #messages = new Map();
  // The ids in each place of the tree, oldest first, by the parent's id (null: the first messages).
  #places = new Map();
  #ratings = new Map();
  #send;
  #changed;
  #refused;
  #connection = 0;
  #said = 0;
  #ackedAt = 0;
  /** Whether there are messages that must be fetched (`catchUp`). */
  isBehind = false;
  /** Counts how often frames or the user moved to another leaf: what was fetched before may be old. */
  moves = 0;

  /**
   * @param {object} info  as GET /api/conversations/{id} gives it; its messages come by `merge`
   * @param {object} on  send(frame) -> sent or not; changed(message or null);
   *                     refused(message or null, error frame or null): a message, or another form of one,
   *                     that the server did not take, or that was lost with the connection
   */
  constructor(info, { send, changed, refused }) {
    this.id = info.id;
    this.title = info.title;
    this.pinnedAt = info.pinned_at;
    this.archivedAt = info.archived_at;
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
      if (known) this.#rename(known, fetched.id);
      if (known && known.parent_id !== fetched.parent_id) this.#move(known, fetched.parent_id);
      // Of a running answer the database holds what was stored last; the frames may have brought more.
      const newer = known?.role === "assistant" && fetched.status === "running" && known.length >= length;
      if (newer) known.asked = null;
      else this.#put({ ...fetched, key: known?.key ?? fetched.id, length, asked: null });
      this.#place(fetched.parent_id, fetched.siblings);
    }
    this.#changed(null);
  }

  /** Show the branch in use, just fetched: its newest messages, the last one first. */
  catchUp(info, messages) {
    this.isBehind = false;
    this.title = info.title;
    this.merge(messages);
    const leaf = messages[0]?.id ?? null;
    const asked = [...this.#messages.values()].filter((message) => message.asked);
    const lost = asked.filter((message) => !this.#settle(message));
    const { unsaved } = this;
    if (unsaved.length) this.#move(unsaved[0], leaf);
    this.leaf = unsaved.at(-1)?.id ?? leaf;
    for (const message of lost) if (message.role === "user") this.#refused(message, null);
    this.#resumeRunning();
    this.#sendNext();
    this.#changed(null);
  }

  /** The messages from the first one known to the last one of the branch that is shown. */
  branch() {
    const found = [];
    const seen = new Set();
    for (let at = this.#messages.get(this.leaf); at && !seen.has(at.id); at = this.#messages.get(at.parent_id)) {
      seen.add(at.id);
      found.push(at);
    }
    return found.reverse();
  }

  /** The ids of the message's versions, oldest first, and which of them it is. */
  versions(message) {
    const ids = this.#places.get(message.parent_id ?? null) ?? [message.id];
    return { ids, index: ids.indexOf(message.id) };
  }

  get running() {
    return this.branch().find((message) => message.status === "running") ?? null;
  }

  /** What was said and is not yet known to be stored, in that order; edited forms are not among them. */
  get unsaved() {
    const found = [...this.#messages.values()].filter((message) => message.status === "unsaved" && !message.asked);
    return found.sort((a, b) => a.order - b.order);
  }

  get isEditOpen() {
    return [...this.#messages.values()].some((message) => message.asked && message.role === "user");
  }

  find(id) {
    return this.#messages.get(id) ?? null;
  }

  /** The end of the branch as far as the server has confirmed it. */
  get settledLeaf() {
    const isSettled = (message) => message.status !== "unsaved" && !message.asked;
    const branch = this.branch();
    const open = branch.findIndex((message) => !isSettled(message));
    if (open < 0) return this.leaf;
    return open === 0 ? branch[0].parent_id : branch[open - 1].id;
  }

  /** Say something: shown at once, sent as soon as the socket is ready and no answer is being written. */
  say(text, clientId, { attempts = 0 } = {}) {
    if (this.#byClientId(clientId)) return;
    const message = this.#put({
      id: clientId, key: clientId, client_id: clientId, parent_id: this.leaf, role: "user", text,
      length: countPoints(text), status: "unsaved", attempts, created_at: new Date().toISOString(),
      order: (this.#said += 1),
    });
    this.#show(message.id);
    this.#sendNext();
    this.#changed(message);
  }

  stop() {
    const { running } = this;
    if (!running) return;
    // An answer that the server has not named yet: whichever runs here.
    this.#send(running.asked ? { type: "stop" } : { type: "stop", messageId: running.id });
  }

  /** Have the answer written anew, beside it. False: not sent. */
  regenerate(answer) {
    const ref = uuid();
    if (this.running || !this.#send({ type: "regenerate", messageId: answer.id, ref })) return false;
    this.#put({
      ...this.#blankAnswer(ref, answer.parent_id, answer.agent_id), asked: { ref, from: answer.id, leaf: this.leaf },
    });
    this.#show(ref);
    this.#changed(null);
    return true;
  }

  /** Say something else in the place of the user's message. False: not sent. */
  edit(original, text) {
    const ref = uuid();
    if (this.running || !this.#send({ type: "edit", messageId: original.id, text, ref })) return false;
    this.#put({
      id: ref, key: ref, client_id: ref, parent_id: original.parent_id, role: "user", text,
      length: countPoints(text), status: "unsaved", created_at: new Date().toISOString(),
      asked: { ref, from: original.id, leaf: this.leaf },
    });
    this.#show(ref);
    this.#changed(null);
    return true;
  }

  /**
   * Say what one thinks of an answer: "up", "down" or null. Shown at once; taken back if it is refused.
   * Resolves once it is stored; rejects with the error frame, or with null if it could not be sent.
   */
  rate(answer, value, comment = null) {
    const ref = uuid();
    const frame = { type: "feedback", messageId: answer.id, value, ref };
    if (comment) frame.comment = comment;
    if (!this.#send(frame)) return Promise.reject(null);
    const { feedback: before = null, feedback_comment: wording = "" } = answer;
    Object.assign(answer, { feedback: value, feedback_comment: comment ?? "" });
    this.#changed(answer);
    return new Promise((resolve, reject) => this.#ratings.set(ref, { frame, answer, before, wording, resolve, reject }));
  }

  /** Apply a server frame. Frames and fields that are not known are ignored (PROTOCOL.md). */
  apply(frame) {
    this[`on_${frame.type}`]?.(frame);
  }

  // --- frames ----------------------------------------------------------------------------------

  /** Connected (again). */
  on_ready(frame) {
    const { active, last_message_id: last, agent } = frame;
    this.#connection += 1;
    if (agent) this.agentId = agent.id;
    // What was asked for and not confirmed may or may not have reached the server: `catchUp` finds out.
    const open = [...this.#messages.values()].some((message) => message.asked);
    const unknown = Boolean(active) && !this.#messages.has(active.message_id);
    this.isBehind = open || unknown || (last ?? null) !== (this.settledLeaf ?? null);
    for (const { frame: rating } of this.#ratings.values()) this.#send(rating);
    if (!this.isBehind) {
      this.#resumeRunning();
      this.#sendNext();
    }
    this.#changed(null);
  }

  on_typing(frame) {
    // The server's names for what was made here, told before it is saved.
    const own = this.#byRef(frame.ref);
    if (own?.role === "assistant") this.#rename(own, frame.message_id);
    else if (own && frame.reply_to) this.#rename(own, frame.reply_to);
    const reply = this.#reply(frame.message_id, frame.reply_to, frame.agent_id);
    if (frame.agent_id) reply.agent_id = frame.agent_id;
    this.#changed(reply);
  }

  on_saved(frame) {
    const answer = this.#messages.get(frame.reply_id);
    if (answer) answer.asked = null;
    const message = this.#byRef(frame.client_id) ?? this.#byRef(frame.ref) ?? this.#messages.get(frame.message_id);
    if (!message || message.role !== "user") return;
    const again = message.attempts > 1;
    this.#rename(message, frame.message_id);
    Object.assign(message, { status: "complete", asked: null });
    this.#dropEmptyReplies(message, frame.reply_id);
    const reply = this.#reply(frame.reply_id, frame.message_id, this.agentId);
    // Sent more than once: the answer may have begun the first time, and is only followed if asked for.
    if (again && reply.status === "running") this.#resume(reply);
    this.#changed(message);
  }

  on_message(frame) {
    if (this.#messages.has(frame.message_id)) return;
    const message = this.#put({
      id: frame.message_id, key: frame.message_id, client_id: null, parent_id: frame.parent_id ?? null,
      role: frame.role, text: frame.text, length: countPoints(frame.text), status: "complete",
      agent_id: frame.agent_id ?? null, created_at: frame.created_at,
    });
    if (message.parent_id && !this.#messages.has(message.parent_id)) this.isBehind = true;
    // Its answer may have been announced before it.
    const reply = [...this.#messages.values()].find((other) => other.parent_id === message.id);
    this.#show((reply ?? message).id);
    this.#changed(null);
  }

  on_chunk(frame) {
    const message = this.#messages.get(frame.message_id);
    if (!message) {
      this.isBehind = true;
      return;
    }
    if (message.status !== "running") return;
    if (frame.offset > message.length) return this.#resume(message);
    const news = dropPoints(frame.text, message.length - frame.offset);
    if (!news) return;
    message.text += news;
    message.length += countPoints(news);
    message.askedFrom = null;
    this.#acknowledge(message);
    this.#changed(message);
  }

  /** The end of an answer; its text is the authority. */
  on_done(frame) {
    const known = this.#messages.get(frame.message_id);
    if (!known) {
      this.isBehind = true;
      return;
    }
    const { text, status, usage = known.usage, finish_reason = "", model = known.model, duration_ms = known.duration_ms } = frame;
    Object.assign(known, {
      text, length: countPoints(text), status, usage, finish_reason, model, duration_ms, askedFrom: null, asked: null,
      memories: frame.memories ?? known.memories,
    });
    this.#sendNext();
    this.#changed(known, { ended: true });
  }

  on_error(frame) {
    const rating = this.#ratings.get(frame.ref);
    if (rating) return this.#takeBackRating(frame, rating);
    const own = this.#byRef(frame.ref);
    if (own && (own.status === "unsaved" || own.asked)) return this.#takeBack(own, frame);
    const answer = this.#messages.get(frame.message_id);
    if (frame.ref?.startsWith("resume:") && frame.code === "not_found") {
      // Announced, but its process died before it was stored.
      if (answer?.status === "running") this.#forget(answer);
      this.#changed(null);
    } else if (answer) {
      answer.error = { code: frame.code, message: frame.message };
      this.#changed(answer);
    } else {
      this.#refused(null, frame);
    }
  }

  on_feedback(frame) {
    const answer = this.#messages.get(frame.message_id);
    if (answer) Object.assign(answer, { feedback: frame.value ?? null, feedback_comment: frame.comment ?? "" });
    this.#ratings.get(frame.ref)?.resolve();
    this.#ratings.delete(frame.ref);
    if (answer) this.#changed(answer);
  }

  on_conversation(frame) {
    if (frame.conversation_id !== this.id || frame.title === undefined) return;
    this.title = frame.title ?? "";
    this.#changed(null);
  }

  /** Everything not yet saved is taken back: the server will not have it (a frame too large). */
  takeBackUnsaved(error) {
    for (const message of [...this.#messages.values()]) if (message.status === "unsaved") this.#takeBack(message, error);
  }

  // --- the tree --------------------------------------------------------------------------------

  #put(message) {
    const present = this.#messages.get(message.id);
    this.#place(message.parent_id, [message.id]);
    // The same object stays: views hold on to it.
    if (present) return Object.assign(present, message);
    this.#messages.set(message.id, message);
    return message;
  }

  #blankAnswer(id, parentId, agentId) {
    return {
      id, key: id, client_id: null, parent_id: parentId, role: "assistant", text: "", length: 0,
      status: "running", agent_id: agentId, created_at: new Date().toISOString(),
    };
  }

  /** Note the ids of a place in the tree: those known to the server in its order, then what is newer. */
  #place(parentId, ids) {
    const place = parentId ?? null;
    const present = this.#places.get(place) ?? [];
    const listed = new Set(ids);
    const kept = ids.length > 1 ? [...ids, ...present.filter((id) => !listed.has(id))] : [...new Set([...present, ...ids])];
    this.#places.set(place, kept);
  }

  #unplace(parentId, id) {
    const ids = (this.#places.get(parentId ?? null) ?? []).filter((other) => other !== id);
    if (ids.length) this.#places.set(parentId ?? null, ids);
    else this.#places.delete(parentId ?? null);
  }

  #byClientId(clientId) {
    if (!clientId) return null;
    for (const message of this.#messages.values()) if (message.client_id === clientId) return message;
    return null;
  }

  /** What was made here under that `ref`: a message said or edited, or an answer to be written anew. */
  #byRef(ref) {
    if (!ref) return null;
    for (const message of this.#messages.values()) {
      if (message.client_id === ref || message.asked?.ref === ref) return message;
    }
    return null;
  }

  #rename(message, id) {
    const { id: before } = message;
    if (before === id) return;
    // What was heard of it from elsewhere knows its place.
    const twin = this.#messages.get(id);
    if (twin) this.#move(message, twin.parent_id);
    this.#messages.delete(before);
    for (const child of this.#messages.values()) if (child.parent_id === before) child.parent_id = id;
    const children = this.#places.get(before);
    this.#places.delete(before);
    if (children) this.#place(id, children);
    const place = message.parent_id ?? null;
    const ids = (this.#places.get(place) ?? []).map((other) => (other === before ? id : other));
    this.#places.set(place, [...new Set(ids)]);
    if (this.leaf === before) this.leaf = id;
    message.id = id;
    this.#messages.set(id, message);
  }

  /** Hang the message in below another one. */
  #move(message, parentId) {
    this.#unplace(message.parent_id, message.id);
    message.parent_id = parentId;
    this.#place(parentId, [message.id]);
  }

  #remove(message) {
    this.#messages.delete(message.id);
    this.#unplace(message.parent_id, message.id);
    for (const child of [...this.#messages.values()]) {
      if (child.parent_id === message.id) this.#move(child, message.parent_id);
    }
  }

  /** Show the branch that ends there, and below it what was said and still waits to be sent. */
  #show(leaf) {
    if (this.leaf !== leaf) this.moves += 1;
    this.leaf = leaf;
    const shown = new Set(this.branch());
    const waiting = this.unsaved.filter((message) => !shown.has(message));
    if (!waiting.length) return;
    this.#move(waiting[0], leaf);
    this.leaf = waiting.at(-1).id;
  }

  /** The answer of that id, made if it is new. The branch goes on with it once its question is known. */
  #reply(id, parentId, agentId) {
    const known = this.#messages.get(id);
    const reply = known ?? this.#put(this.#blankAnswer(id, parentId, agentId));
    if (!this.#messages.has(parentId)) this.isBehind = true;
    else if (!known || parentId === this.leaf) this.#show(id);
    return reply;
  }

  #dropEmptyReplies(message, replyId) {
    for (const other of [...this.#messages.values()]) {
      if (other.parent_id !== message.id || other.id === replyId || other.length || other.status !== "running") continue;
      this.#remove(other);
      if (this.leaf === other.id) this.#show(message.id);
    }
  }

  /** An answer that there is not: what was shown before it is shown again. */
  #forget(answer) {
    const wasShown = this.branch().includes(answer);
    this.#remove(answer);
    if (wasShown) this.#show(answer.asked?.leaf ?? answer.parent_id);
  }

  // --- inside ----------------------------------------------------------------------------------

  /** The server did not take what was said or asked for. */
  #takeBack(message, error) {
    this.#dropEmptyReplies(message, null);
    const wasShown = this.branch().includes(message);
    this.#remove(message);
    if (wasShown) this.#show(message.asked ? message.asked.leaf : message.parent_id);
    this.#refused(message.role === "user" ? message : null, error);
    this.#sendNext();
    this.#changed(null);
  }

  #takeBackRating(frame, { answer, before, wording, reject }) {
    this.#ratings.delete(frame.ref);
    Object.assign(answer, { feedback: before, feedback_comment: wording });
    reject(frame);
    this.#changed(answer);
  }

  /** After a lost connection: did this, asked for and not confirmed, arrive? What was fetched tells. */
  #settle(message) {
    const { from } = message.asked;
    const original = this.#messages.get(from);
    const isTwin = (other) =>
      other !== message && !other.asked && other.id !== from && other.parent_id === message.parent_id &&
      (message.role === "assistant" || other.text === message.text) && other.created_at > (original?.created_at ?? "");
    this.#dropEmptyReplies(message, null);
    this.#remove(message);
    return [...this.#messages.values()].some(isTwin);
  }

  /** Send the first of what waits, unless an answer is being written: it would be refused as one too many. */
  #sendNext() {
    const [message] = this.unsaved;
    if (!message || this.isBehind || message.sentOn === this.#connection) return;
    const runs = [...this.#messages.values()].some(
      (other) => other.status === "running" && other.parent_id !== message.id,
    );
    if (runs) return;
    const { client_id: id, text } = message;
    if (!this.#send({ type: "message", text, messageId: id, conversationId: this.id, ref: id })) return;
    message.sentOn = this.#connection;
    message.attempts += 1;
  }

  /** Answers that ran when the connection was lost, whether they still do or ended meanwhile. */
  #resumeRunning() {
    for (const message of this.#messages.values()) {
      const parent = this.#messages.get(message.parent_id);
      if (message.status === "running" && !message.asked && parent?.status !== "unsaved") this.#resume(message);
    }
  }

  /** Ask for all that lies past what we have; on one connection not twice for the same place. */
  #resume(message) {
    if (message.askedFrom === message.length && message.askedOn === this.#connection) return;
    const frame = { type: "resume", messageId: message.id, offset: message.length, ref: `resume:${message.id}` };
    if (!this.#send(frame)) return;
    message.askedFrom = message.length;
    message.askedOn = this.#connection;
  }

  /** About once a second: how far we are, so that the server may hold back from who falls behind. */
  #acknowledge(message) {
    const now = performance.now();
    if (now - this.#ackedAt < ACK_EVERY) return;
    this.#ackedAt = now;
    this.#send({ type: "ack", messageId: message.id, offset: message.length });
  }
}
