// The conversation page: ties the socket, the state and what is seen together.

import { Composer } from "konstruct/composer";
import { Conversation } from "konstruct/conversation";
import { avatar, el } from "konstruct/dom";
import { showConnection, showEmployee, showTitle, startMenu } from "konstruct/head";
import { api } from "konstruct/http";
import { Log } from "konstruct/log";
import { data, t, uuid } from "konstruct/page";
import { Follower } from "konstruct/scroll";
import { patchConversation, startSidebar } from "konstruct/sidebar";
import { Socket } from "konstruct/socket";
import { Waiting } from "konstruct/waiting";

const faces = new Map(data.agents.map((face) => [face.id, face]));
const waiting = new Waiting(data.conversation.id);
const announce = document.getElementById("announce");
const logBox = document.getElementById("log");
const follower = new Follower(document.getElementById("scroll"), document.getElementById("down"));
let olderCursor = data.messages.next_cursor;

const socket = new Socket(data.conversation.id, {
  frame: heard,
  state: (state) => {
    showConnection(state, () => socket.retry());
    log.redraw(null);
  },
  tooBig: () => conversation.takeBackUnsaved({ message: t("too_big") }),
});

const log = new Log(logBox, { follower, faces, context: () => ({ ready: socket.state.name === "ready" }) });

const conversation = new Conversation(data.conversation, {
  send: (frame) => socket.send(frame),
  changed,
  refused,
});

const composer = new Composer(
  document.getElementById("composer"),
  { send: say, stop: () => conversation.stop(), draft: (text) => (waiting.draft = text) },
  data.limits,
);

function say(text) {
  conversation.say(text, uuid());
  follower.toEnd();
  patchConversation(conversation.id, { updated_at: new Date().toISOString() });
}

/** Begin with a starter. One that ends with a colon ("Make this shorter:") waits for the rest. */
function open(starter) {
  if (!starter.trim().endsWith(":")) return say(starter);
  composer.put(`${starter.trim()} `);
  composer.focus();
}

function heard(frame) {
  conversation.apply(frame);
  if (frame.type === "ready" && conversation.isBehind) catchUp();
}

/** Fetch what was said while we were away. */
async function catchUp() {
  const path = `/conversations/${conversation.id}`;
  try {
    const [info, page] = await Promise.all([api("GET", path), api("GET", `${path}/messages`)]);
    conversation.catchUp(info, page.items);
  } catch (error) {
    // The connection was lost again; the next one starts over.
    console.warn("catching up failed", error);
  }
}

function changed(message, { ended = false } = {}) {
  log.redraw(message);
  if (ended) {
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
  if (running && !running.length) announce.textContent = t("writing", { name: log.nameOf(running) ?? t("employee") });
  waiting.unsaved = conversation.unsaved;
  showTitle(conversation.title);
  patchConversation(conversation.id, { title: conversation.title });
  const face = faces.get(conversation.agentId) ?? null;
  showEmployee(face);
  composer.placeholder = t("message_to", { name: face?.name ?? t("employee") });
  showWelcome(face);
}

/** The server did not take a message: its text goes back to where it was typed. */
function refused(message, error) {
  if (message) composer.put(message.text);
  composer.refuse(error.message, error.retry_after ?? 0);
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

/** Older messages are fetched when their end comes near. */
function startOlder() {
  const top = el("div", { class: "older", "aria-hidden": "true" });
  logBox.before(top);
  const seen = new IntersectionObserver(
    async ([entry]) => {
      if (!entry.isIntersecting || !olderCursor) return;
      seen.unobserve(top);
      try {
        const page = await api("GET", `/conversations/${conversation.id}/messages?cursor=${olderCursor}`);
        olderCursor = page.next_cursor;
        follower.holding(() => {
          conversation.merge(page.items);
          log.drawNow();
        });
      } catch (error) {
        console.warn("older messages could not be loaded", error);
      }
      if (olderCursor) seen.observe(top);
    },
    { root: document.getElementById("scroll"), rootMargin: "600px 0px 0px" },
  );
  seen.observe(top);
}

startSidebar();
conversation.merge(data.messages.items);
log.show(conversation);
startMenu(conversation, {
  renamed: ({ title }) => conversation.apply({ type: "conversation", conversation_id: conversation.id, title }),
});
composer.put(waiting.draft);
// What an earlier life of this page may have sent: the same ids, so that nothing is stored twice.
for (const { client_id: id, text } of waiting.unsaved) conversation.say(text, id, { attempts: 1 });
if (data.opening) open(data.opening);
showState();
if (olderCursor) startOlder();
follower.toEnd();
if (matchMedia("(pointer: fine)").matches) composer.focus();
socket.start();
