// One message as it is seen.

import { avatar, copyText, el } from "konstruct/dom";
import { factsOf } from "konstruct/facts";
import { Given } from "konstruct/given";
import { MarkdownView } from "konstruct/markdown";
import { fullTime, shortTime, t } from "konstruct/page";
import { CommentForm, copyTool, EditForm, Stepper, Tool } from "konstruct/tools";

const UNKNOWN_FACE = { name: t("employee"), color: "#8a8577", ink: "#ffffff", initials: "?" };

/**
 * What a view is told beside its message when it is drawn.
 * @typedef {object} Context
 * @property {boolean} ready    whether the connection stands
 * @property {boolean} running  whether an answer is being written in the conversation
 * @property {function} versions  of a message: {ids, index}
 */

/** Why nothing can be asked for now; null: it can. */
function whyNot({ ready, running }) {
  return !ready ? t("not_connected") : running ? t("busy") : null;
}

/** Copy a code block on a click, and say on the button how it went. */
async function copyFrom(button, text) {
  const copied = await copyText(text);
  button.textContent = copied ? t("copied") : t("not_copied");
  setTimeout(() => (button.textContent = t("copy")), 1500);
}

export class UserMessage {
  #note = el("p", { class: "note" });
  #bubble;
  #edit;
  #stepper;
  #tools;
  #form = null;
  #message;
  #on;

  /** @param {object} on  step, edit, draftEdit, refused, announce (see Log) */
  constructor(message, on) {
    this.#message = message;
    this.#on = on;
    this.#bubble = el("div", { class: "bubble" }, message.text);
    this.#stepper = new Stepper({ step: (by) => on.step(this.#message, by), refused: on.refused });
    this.#edit = new Tool("edit", "edit", t("edit"), { press: () => this.startEdit(), refused: on.refused });
    this.#tools = el("div", { class: "tools" }, this.#stepper.element, this.#edit.element);
    this.element = el(
      "article", { class: "message is-user", "aria-label": t("you") }, this.#bubble, this.#note, this.#tools,
    );
  }

  draw(message, context) {
    this.#message = message;
    const unsaved = message.status === "unsaved";
    this.element.classList.toggle("is-unsaved", unsaved);
    this.#note.textContent = unsaved ? (context.ready ? t("sending") : t("waiting")) : "";
    this.#tools.hidden = unsaved || this.#form !== null;
    this.#edit.disabled = whyNot(context);
    this.#stepper.draw(context.versions(message), whyNot(context));
  }

  /** Open the text for editing; with what was typed before, if that is known, and why it was not sent. */
  startEdit(text = this.#message.text, { problem = "", focus = true } = {}) {
    this.#form?.element.remove();
    this.#form = new EditForm(text, {
      save: (wanted) => {
        const refusal = this.#on.edit(this.#message, wanted);
        if (!refusal) this.#close();
        return refusal;
      },
      cancel: () => {
        this.#on.draftEdit(null);
        this.#close();
        this.#edit.element.focus({ preventScroll: true });
      },
      draft: (typed) => this.#on.draftEdit({ message_id: this.#message.id, text: typed }),
    });
    this.#on.draftEdit({ message_id: this.#message.id, text });
    this.#form.say(problem);
    this.#bubble.hidden = this.#tools.hidden = true;
    this.#bubble.before(this.#form.element);
    this.#form.open({ focus });
  }

  #close() {
    this.#form?.element.remove();
    this.#form = null;
    this.#bubble.hidden = this.#tools.hidden = false;
  }
}

export class Answer {
  #text = el("div", { class: "prose" });
  #note = el("p", { class: "note", hidden: true });
  #dots = el("p", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
  #by = el("strong");
  #markdown = new MarkdownView(this.#text);
  #stepper;
  #copy;
  #regenerate;
  #up;
  #down;
  #facts = el("span", { class: "facts" });
  #given = new Given();
  #tools;
  #comment = null;
  #drawn = null;
  #wasRunning = false;
  #face = null;
  #message;
  #on;

  /** @param {object} on  step, regenerate, rate, refused, announce, faceOf (see Log) */
  constructor(message, on) {
    this.#message = message;
    this.#on = on;
    const time = el("time", { datetime: message.created_at, title: fullTime(message.created_at) });
    time.textContent = shortTime(message.created_at);
    const { refused } = on;
    this.#stepper = new Stepper({ step: (by) => on.step(this.#message, by), refused });
    this.#copy = copyTool(() => this.#message.text, on.announce);
    const again = () => on.regenerate(this.#message);
    this.#regenerate = new Tool("regenerate", "regenerate", t("regenerate"), { press: again, refused });
    this.#up = new Tool("up", "up", t("feedback_up"), { press: () => this.#rate("up"), refused });
    this.#down = new Tool("down", "down", t("feedback_down"), { press: () => this.#rate("down"), refused });
    const tools = [this.#stepper, this.#copy, this.#regenerate, this.#up, this.#down];
    this.#tools = el("div", { class: "tools" }, ...tools.map((tool) => tool.element), this.#facts);
    const body = [el("p", { class: "by" }, this.#by, time), this.#text, this.#dots, this.#note, this.#given.element, this.#tools];
    this.element = el("article", { class: "message is-answer" }, el("div", { class: "message-body" }, ...body));
    this.#text.addEventListener("click", (event) => {
      const button = event.target.closest(".copy-code");
      if (button) copyFrom(button, button.closest(".code").querySelector("code").textContent);
    });
  }

  draw(message, context) {
    this.#message = message;
    const running = message.status === "running";
    this.#drawText(message.text, running);
    this.#drawFace(this.#on.faceOf(message) ?? UNKNOWN_FACE);
    this.element.classList.toggle("is-running", running);
    this.element.setAttribute("aria-busy", String(running));
    this.#dots.hidden = !running || message.text !== "";
    const note = running ? "" : endingOf(message);
    this.#note.hidden = note === "";
    this.#given.draw(running ? [] : (message.memories ?? []));
    this.#note.textContent = note;
    this.#note.classList.toggle("is-bad", message.status === "failed");
    this.#drawTools(message, context, running);
  }

  #drawText(text, running) {
    if (text === this.#drawn && running === this.#wasRunning) return;
    this.#markdown.draw(text, { final: !running });
    this.#drawn = text;
    this.#wasRunning = running;
  }

  #drawFace(face) {
    if (face === this.#face) return;
    this.#face = face;
    this.element.setAttribute("aria-label", face.name);
    this.#by.textContent = face.name;
    this.element.querySelector(":scope > .avatar")?.remove();
    this.element.prepend(avatar(face));
  }

  #drawTools(message, context, running) {
    const versions = context.versions(message);
    const why = whyNot(context);
    this.#stepper.draw(versions, why);
    this.#copy.hidden = running || message.text === "";
    this.#up.hidden = this.#down.hidden = running;
    this.#up.pressed = message.feedback === "up";
    this.#down.pressed = message.feedback === "down";
    this.#up.disabled = this.#down.disabled = context.ready ? null : t("not_connected");
    // Beside its other versions it stays while it is written, so that the focus need not go elsewhere.
    this.#regenerate.hidden = !message.parent_id || (running && versions.ids.length < 2);
    this.#regenerate.disabled = why;
    this.#tools.hidden = running && versions.ids.length < 2;
    const { short, full } = running ? { short: "", full: "" } : factsOf(message);
    this.#facts.textContent = short;
    this.#facts.title = full;
    if (running || message.feedback !== "down") this.#closeComment();
  }

  async #rate(value) {
    const wanted = this.#message.feedback === value ? null : value;
    const stored = this.#on.rate(this.#message, wanted);
    if (wanted === "down") this.#askWhy();
    try {
      await stored;
      if (wanted) this.#on.announce(t("feedback_noted"));
    } catch (error) {
      this.#on.refused(error?.message ?? t("not_connected"));
    }
  }

  #askWhy() {
    this.#comment = new CommentForm({
      send: async (text) => {
        await this.#on.rate(this.#message, "down", text);
        this.#on.announce(t("feedback_noted"));
      },
      close: () => {
        this.#closeComment();
        this.#down.element.focus({ preventScroll: true });
      },
    });
    this.#tools.after(this.#comment.element);
    this.#comment.open();
  }

  #closeComment() {
    this.#comment?.element.remove();
    this.#comment = null;
  }
}

/** What has to be said about how the answer ended; nothing if it is complete. */
function endingOf({ status, error, finish_reason: reason, text }) {
  if (status === "stopped") return t("stopped");
  if (status === "interrupted") return t("interrupted");
  if (status === "failed") return error?.message && error.message !== text ? error.message : text ? "" : t("failed");
  return reason === "length" ? t("length") : "";
}
