// The box one writes in. Enter sends, Shift+Enter makes a line, Escape or the button stops an answer.

import { whyTooLong } from "konstruct/limits";
import { t } from "konstruct/page";

const TALLEST = 240;

export class Composer {
  #form;
  #text;
  #sendButton;
  #stopButton;
  #hint;
  #on;
  #running = false;
  #waitUntil = 0;
  #countdown;

  /**
   * @param {HTMLFormElement} form
   * @param {object} on  send(text), also while an answer is being written; stop(), draft(text)
   */
  constructor(form, on) {
    this.#form = form;
    this.#on = on;
    this.#text = form.querySelector("textarea");
    this.#sendButton = form.querySelector("#send");
    this.#stopButton = form.querySelector("#stop");
    this.#hint = document.getElementById("hint");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => {
      // isComposing: Enter that picks a word of an input method sends nothing.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#stopButton.addEventListener("click", () => on.stop());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#running || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      on.stop();
    });
    this.#fit();
  }

  /** Whether an answer is being written, and by whom. */
  set running(running) {
    if (this.#running === running) return;
    this.#running = running;
    // The focus must not fall off the button that goes.
    const hadFocus = document.activeElement === (running ? this.#sendButton : this.#stopButton);
    this.#stopButton.hidden = !running;
    const label = running ? t("queue_add") : t("send");
    this.#sendButton.setAttribute("aria-label", label);
    this.#sendButton.title = label;
    this.#fit();
    if (hadFocus) this.#text.focus();
    if (!running) this.#say("");
  }

  set placeholder(text) {
    this.#text.placeholder = text;
  }

  get text() {
    return this.#text.value;
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  /** Put text into the box; what is there already stays below it. */
  put(text) {
    this.#text.value = [text, this.#text.value].filter(Boolean).join("\n");
    this.#typed();
  }

  /** Say why nothing was sent; with `seconds`, nothing can be sent until they are over. */
  refuse(sentence, seconds = 0) {
    clearInterval(this.#countdown);
    this.#waitUntil = Date.now() + seconds * 1000;
    const show = () => {
      const left = Math.ceil((this.#waitUntil - Date.now()) / 1000);
      this.#say(left > 0 ? `${sentence} ${t("wait", { seconds: left })}` : seconds ? "" : sentence);
      if (left <= 0) clearInterval(this.#countdown);
      this.#fit();
    };
    show();
    if (seconds) this.#countdown = setInterval(show, 1000);
  }

  #typed() {
    this.#fit();
    if (!this.#waits) this.#say("");
    this.#on.draft(this.#text.value);
  }

  /** As tall as the text, and to be sent only if there is one. */
  #fit() {
    const box = this.#text;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, TALLEST)}px`;
    box.style.overflowY = box.scrollHeight > TALLEST ? "auto" : "hidden";
    this.#sendButton.disabled = !box.value.trim() || this.#waits;
    // While an answer is being written, what is sent waits; with nothing to send there is only the stop.
    this.#sendButton.hidden = this.#running && !box.value.trim();
  }

  get #waits() {
    return Date.now() < this.#waitUntil;
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!text || this.#waits) return;
    const problem = whyTooLong(text);
    if (problem) return this.#say(problem);
    this.#say("");
    this.#text.value = "";
    this.#typed();
    this.#on.send(text);
  }

  #say(sentence) {
    this.#hint.textContent = sentence;
  }
}
