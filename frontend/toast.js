// A sentence at the foot of the window about what was just done, with a way to take it back.

import { el } from "konstruct/dom";
import { t } from "konstruct/page";

const SECONDS = 30;
let place = null;

/**
 * Show the sentence for 30 s, not counting the time in which it is pointed at or has the focus.
 * @param {string} sentence
 * @param {object} [way]  label: of the button; act(): what it does. It may reject with a sentence as its message.
 */
export function toast(sentence, way = null) {
  place ??= document.body.appendChild(el("div", { class: "toasts", role: "status" }));
  const words = el("span", {}, sentence);
  const close = el("button", { type: "button", class: "toast-close", "aria-label": t("close") }, "×");
  const act = way && el("button", { type: "button", class: "link" }, way.label);
  const box = el("div", { class: "toast" }, words, act, close);
  let left = SECONDS * 1000;
  let since = 0;
  let timer = null;
  const go = () => {
    clearTimeout(timer);
    box.remove();
  };
  const run = () => {
    since = Date.now();
    timer = setTimeout(go, left);
  };
  const hold = () => {
    clearTimeout(timer);
    left = Math.max(2000, left - (Date.now() - since));
  };
  box.addEventListener("pointerenter", hold);
  box.addEventListener("pointerleave", run);
  box.addEventListener("focusin", hold);
  box.addEventListener("focusout", run);
  close.addEventListener("click", go);
  act?.addEventListener("click", async () => {
    act.disabled = true;
    try {
      await way.act();
      go();
    } catch (error) {
      words.textContent = error.message;
      act.remove();
    }
  });
  // One at a time: the newest is what was just done.
  place.replaceChildren(box);
  run();
}
