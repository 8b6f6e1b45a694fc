// The conversation page: ties the socket, the state and what is seen together.

import { Composer } from "konstruct/composer";
import { Conversation } from "konstruct/conversation";
import { avatar, el } from "konstruct/dom";
import { showConnection, showEmployee, showTitle, startMemory, startMenu } from "konstruct/head";
import { api } from "konstruct/http";
import { jumpTo } from "konstruct/jump";
import { Log } from "konstruct/log";
import { data, t } from "konstruct/page";
import { Queue } from "konstruct/queue";
import { Follower } from "konstruct/scroll";
import { patchConversation, startSidebar, watchList } from "konstruct/sidebar";
import { Socket } from "konstruct/socket";
import { uuid } from "konstruct/uuid";
import { Waiting } from "konstruct/waiting";

const faces = new Map(data.agents.map((face) => [face.id, face]));
const waiting = new Waiting(data.conversation.id);
const announce = document.getElementById("announce");
const logBox = document.getElementById("log");
const follower = new Follower(document.getElementById("scroll"), document.getElementById("down"));
const path = `/conversations/${data.conversation.id}`;
// Tabs of this browser tell each other which version is looked at; the protocol has no frame for it.
const tabs = new BroadcastChannel("konstruct");
// Of the last message of each page fetched: the cursor of what lies above it.
const cursors = new Map();
let catching = false;
let stepping = false;
let editSent = false;
let wasRunning = false;
// Messages that were sent from the queue: what the server does not take goes back there.
const queuedIds = new Set();

const socket = new Socket(`/chat/ws/${data.conversation.id}`, {
  frame: heard,
  state: (state) => {
    showConnection(state, () => socket.retry());
    log.redraw(null);
  },
  tooBig: () => conversation.takeBackUnsaved({ message: t("too_big") }),
});

const log = new Log(logBox, {
  follower,
  faces,
  context: () => ({
    ready: socket.state.name === "ready",
    running: conversation.running !== null || conversation.unsaved.length > 0,
    versions: (message) => conversation.versions(message),
  }),
  on: {
    step,
    regenerate: (answer) => conversation.regenerate(answer) ? follower.toEnd() : tell(t("not_connected")),
    edit: saveEdit,
    draftEdit: (edit) => (waiting.edit = edit),
    rate: (answer, value, comment) => conversation.rate(answer, value, comment),
    refused: tell,
    announce: (sentence) => (announce.textContent = sentence),
  },
});

const conversation = new Conversation(data.conversation, {
  send: (frame) => socket.send(frame),
  changed,
  refused,
});

const composer = new Composer(
  document.getElementById("composer"),
  { send, stop: () => conversation.stop(), draft: (text) => (waiting.draft = text) },
);

const queue = new Queue(document.getElementById("composer"), waiting, {
  released: sendQueued,
  orphaned: (text) => composer.put(text),
});

function send(text) {
  // While an answer is being written, and behind what waits for that.
  if (conversation.running || !queue.isEmpty) {
    queue.add(text);
    if (!conversation.running) queue.sendNow();
  } else say(text, uuid());
}

function say(text, id) {
  conversation.say(text, id);
  follower.toEnd();
  patchConversation(conversation.id, { updated_at: new Date().toISOString() });
}

/** The next message that waits for its turn, once nothing is being written or sent. */
function sendQueued() {
  const { next } = queue;
  if (!next || socket.state.name !== "ready" || conversation.isBehind) return;
  if (conversation.running || conversation.unsaved.length || conversation.isEditOpen) return;
  say(next.text, next.id);
  queuedIds.add(next.id);
  // Only now: until here it is kept as unsaved (showState) and as waiting.
  queue.drop(next.id);
}

/** Begin with a starter. One that ends with a colon ("Make this shorter:") waits for the rest. */
function open(starter) {
  if (!starter.trim().endsWith(":")) return send(starter);
  composer.put(`${starter.trim()} `);
  composer.focus();
}

function heard(frame) {
  conversation.apply(frame);
  if (conversation.isBehind) catchUp();
}

/** Fetch what was said while we were away, or elsewhere. */
async function catchUp() {
  if (catching) return;
  catching = true;
  try {
    await fetchBranch();
  } catch (error) {
    // The connection was lost again; the next one starts over.
    console.warn("catching up failed", error);
  }
  catching = false;
}

/** Show the branch in use as the server has it. */
async function fetchBranch() {
  let info, page, moves;
  do {
    moves = conversation.moves;
    [info, page] = await Promise.all([api("GET", path), api("GET", `${path}/messages`)]);
    // What frames told meanwhile is newer than what was fetched.
  } while (moves !== conversation.moves);
  noteCursor(page);
  conversation.catchUp(info, page.items);
  lookForOlder();
}

/** Other devices may have chosen another version while nobody looked here. */
async function lookAgain() {
  if (document.hidden || socket.state.name !== "ready" || conversation.running) return;
  try {
    const info = await api("GET", path);
    if (info.leaf_id !== conversation.settledLeaf) catchUp();
  } catch (error) {
    console.warn("looking again failed", error);
  }
}

/** Show the message's version before or after this one, with all that followed it. */
async function step(message, by) {
  const { ids, index } = conversation.versions(message);
  const wanted = ids[index + by];
  if (!wanted || stepping) return;
  stepping = true;
  try {
    await api("POST", `${path}/select`, { body: { message_id: wanted } });
    await fetchBranch();
    const stepper = (key) => log.view(key)?.element.querySelector(".versions");
    const shown = () => conversation.branch().find(({ id }) => id === wanted);
    follower.pinned(stepper(message) ?? logBox, () => shown() && stepper(shown()), () => log.drawNow());
    announce.textContent = t("version", { number: index + by + 1, count: ids.length });
    tabs.postMessage(conversation.id);
  } catch (error) {
    tell(error.status ? error.message : t("not_connected"));
  }
  stepping = false;
}

/** Send the message's other form; out comes a sentence if that cannot be done now. */
function saveEdit(message, text) {
  if (conversation.running || conversation.unsaved.length) return t("busy");
  if (!conversation.edit(message, text)) return t("edit_not_sent");
  editSent = true;
  follower.toEnd();
  // The form goes and the focus with it; on a phone, the box would bring the keyboard back.
  if (matchMedia("(pointer: fine)").matches) composer.focus();
  return null;
}

/** Something could not be done. */
function tell(sentence) {
  composer.refuse(sentence);
}

function changed(message, { ended = false } = {}) {
  log.redraw(message);
  if (ended) {
    // The next one would most likely fail as well.
    if (message.status === "failed") queue.hold();
    else queue.release();
    announce.textContent = t("answered", { name: log.nameOf(message) ?? t("employee") });
    patchConversation(conversation.id, { updated_at: new Date().toISOString() });
  } else if (message?.role === "assistant" && message.length) {
    return;
  }
  showState();
}

/** Everything around the messages that follows from them; not needed for each piece of text. */
function showState() {
  const { running } = conversation;
  composer.running = running !== null;
  // What can be asked for in every message depends on it.
  if (wasRunning !== (running !== null)) log.redraw(null);
  wasRunning = running !== null;
  if (running && !running.length) announce.textContent = t("writing", { name: log.nameOf(running) ?? t("employee") });
  waiting.keepUnsaved(conversation.unsaved);
  if (editSent && !conversation.isEditOpen) {
    editSent = false;
    waiting.edit = null;
  }
  showTitle(conversation.title);
  patchConversation(conversation.id, { title: conversation.title });
  const face = faces.get(conversation.agentId) ?? null;
  showEmployee(face);
  showMemory();
  composer.placeholder = t("message_to", { name: face?.name ?? t("employee") });
  showWelcome(face);
  sendQueued();
}

/** The server did not take a message: its text goes back to where it was typed. */
function refused(message, error) {
  const sentence = error?.message ?? t("edit_not_sent");
  if (message?.asked) {
    editSent = false;
    if (reopenEdit(message.asked.from, message.text, sentence)) return;
  }
  if (message && queuedIds.delete(message.client_id)) {
    queue.hold(error?.retry_after ?? 0);
    queue.putBack(message.text);
  } else if (message) composer.put(message.text);
  composer.refuse(sentence, error?.retry_after ?? 0);
}

/** Open a message for editing with what was typed before; false if it is not shown. */
function reopenEdit(id, text, problem = "") {
  log.drawNow();
  const original = conversation.find(id);
  const view = original && log.view(original);
  view?.startEdit(text, { problem, focus: problem !== "" });
  return Boolean(view);
}

function showWelcome(face) {
  const present = document.getElementById("welcome");
  const wanted = conversation.branch().length === 0 && face !== null;
  if (!wanted || present) return wanted || present?.remove();
  const starters = face.starters.map((text) =>
    el("li", {}, el("button", { type: "button", class: "starter", onclick: () => open(text) }, text)),
  );
  const words = el("p", { class: "welcome-text" }, face.greeting || face.name);
  logBox.before(el("div", { class: "welcome", id: "welcome" }, avatar(face, true), words, el("ul", { class: "starters" }, ...starters)));
}

function noteCursor(page) {
  if (page.next_cursor) cursors.set(page.items.at(-1).id, page.next_cursor);
}

async function fetchOlder(cursor, size = 30) {
  const page = await api("GET", `${path}/messages?size=${size}&cursor=${cursor}`);
  noteCursor(page);
  follower.holding(() => {
    conversation.merge(page.items);
    log.showMore();
  });
}

/** Show the message that a search or a link led to. */
async function showFound({ id, beside }) {
  const older = async () => {
    const cursor = cursors.get(conversation.branch()[0]?.id);
    if (cursor) await fetchOlder(cursor, 100);
    return Boolean(cursor);
  };
  try {
    await jumpTo(id, { conversation, log, follower, path, isBeside: beside, selected: fetchBranch, older });
  } catch (error) {
    tell(error.status ? error.message : t("not_connected"));
  }
}

/** Older messages are fetched when their end comes near. Out comes what looks whether it is. */
function startOlder() {
  const top = el("div", { class: "older", "aria-hidden": "true" });
  logBox.before(top);
  const look = () => {
    seen.unobserve(top);
    seen.observe(top);
  };
  const seen = new IntersectionObserver(
    async ([entry]) => {
      if (!entry.isIntersecting) return;
      if (log.hasMore) {
        follower.holding(() => log.showMore());
        return look();
      }
      const cursor = cursors.get(conversation.branch()[0]?.id);
      if (!cursor) return;
      seen.unobserve(top);
      try {
        await fetchOlder(cursor);
        look();
      } catch (error) {
        console.warn("older messages could not be loaded", error);
        setTimeout(look, 5000);
      }
    },
    { root: document.getElementById("scroll"), rootMargin: "600px 0px 0px" },
  );
  return look;
}

/** What was typed in an earlier life of this page, or in a tab that was closed before it was sent. */
function restore() {
  composer.put(waiting.draft);
  if (waiting.isQueueOld || conversation.branch().at(-1)?.status === "failed") queue.hold();
  for (const { client_id: id, text, isOld } of waiting.takeUnsaved()) {
    if (isOld) composer.put(text);
    // It may have been sent: the same id, so that nothing is stored twice.
    else conversation.say(text, id, { attempts: 1 });
  }
  const { edit } = waiting;
  const isStored = conversation.branch().some(({ role, text }) => role === "user" && text === edit?.text);
  if (!edit || isStored || !reopenEdit(edit.message_id, edit.text)) waiting.edit = null;
}

startSidebar();
const showMemory = startMemory(conversation, {
  off: data.memory.off,
  agentsOff: new Set(data.memory.agents_off),
  say: tell,
});
noteCursor(data.messages);
conversation.merge(data.messages.items);
log.show(conversation);
startMenu(conversation, {
  renamed: ({ title }) => conversation.apply({ type: "conversation", conversation_id: conversation.id, title }),
});
const lookForOlder = startOlder();
restore();
if (data.opening) open(data.opening);
showState();
follower.toEnd();
lookForOlder();
if (data.jump) showFound(data.jump);
else if (matchMedia("(pointer: fine)").matches) composer.focus();
socket.start();
// Another title was given elsewhere.
watchList(({ id, title }) => {
  if (id === conversation.id && title !== conversation.title) {
    conversation.apply({ type: "conversation", conversation_id: id, title });
  }
});
tabs.onmessage = ({ data: id }) => id === conversation.id && catchUp();
document.addEventListener("visibilitychange", lookAgain);
