// A block of code: its language's name, a copy button, and colours that come when there is time for them.
//
// The text is shown at once and only ever appended to. Colours follow in idle moments: soon once the block
// is whole, every now and then while it grows. highlight.js is loaded with the first block that has a
// language, and knows the common ones.

import { el } from "konstruct/dom";
import { t, whenIdle } from "konstruct/page";
import { own, patch } from "konstruct/patch";

// Longer code stays uncoloured (characters): so many elements would make the page slow.
const MOST = 60_000;
// A growing block is coloured anew after this time (ms), or after so many times what it took, if that is more.
const PAUSE = 250;
const SHARE = 15;

let library = null;
let loading = null;
const waiting = new Set();
let asked = false;

function load() {
  loading ??= import("highlight").then(
    (module) => {
      library = module.default;
      ask();
    },
    (error) => console.warn("code stays without colours", error),
  );
}

function ask() {
  if (asked || !library || !waiting.size) return;
  asked = true;
  whenIdle(work, { timeout: 500 });
}

function work(deadline) {
  asked = false;
  for (const block of waiting) {
    if (block.dueAt > performance.now()) continue;
    waiting.delete(block);
    block.colour();
    if (deadline.timeRemaining() < 5) break;
  }
  if (waiting.size) setTimeout(ask, 60);
}

const PIECES = /<span class="([\w\s-]*)">|<(\/)span>|&(amp|lt|gt|quot|#x27);|[^<&]+|[<&]/g;
const CHARACTERS = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

/** What highlight.js made, as elements. Nothing is parsed as HTML: there can be spans and text, no more. */
function spans(html) {
  const root = document.createDocumentFragment();
  const path = [root];
  let text = "";
  const flush = () => {
    if (text) path.at(-1).append(text);
    text = "";
  };
  for (const [whole, classes, isEnd, entity] of html.matchAll(PIECES)) {
    if (classes !== undefined) {
      flush();
      const own = classes.split(" ").filter((name) => name.startsWith("hljs-") || name.endsWith("_"));
      const span = el("span", { class: own.join(" ") || null });
      path.at(-1).append(span);
      path.push(span);
    } else if (isEnd) {
      flush();
      if (path.length > 1) path.pop();
    } else {
      text += entity ? CHARACTERS[entity] : whole;
    }
  }
  flush();
  return root;
}

export class CodeBlock {
  #code;
  #label = el("span", { class: "code-language" });
  #language = "";
  #text = "";
  #isColoured = false;
  /** When it may be coloured next, as performance.now() counts. */
  dueAt = 0;

  constructor(text, language) {
    this.#code = el("code");
    const copy = el("button", { type: "button", class: "copy-code" }, t("copy"));
    const head = el("div", { class: "code-head" }, this.#label, copy);
    const box = el("pre", { tabindex: "0", role: "group", dir: "ltr" }, this.#code);
    this.element = el("div", { class: "code" }, head, box);
    own(this.element, this);
    this.set(text, language);
  }

  /** Show what another block shows (patch.js). */
  take(other) {
    this.set(other.#text, other.#language);
  }

  set(text, language = this.#language) {
    if (language !== this.#language || !this.#code.parentElement.hasAttribute("aria-label")) this.#name(language);
    if (text === this.#text) return;
    const grows = this.#text !== "" && text.startsWith(this.#text);
    if (!grows) this.#code.replaceChildren(text);
    else if (this.#code.lastChild.nodeType === Node.TEXT_NODE) this.#code.lastChild.appendData(text.slice(this.#text.length));
    else this.#code.append(text.slice(this.#text.length));
    this.#text = text;
    this.#wait();
  }

  #name(language) {
    this.#language = language;
    this.#label.textContent = language || t("code");
    this.#code.parentElement.setAttribute("aria-label", language ? t("code_in", { language }) : t("code"));
    this.#wait();
  }

  #wait() {
    this.#isColoured = false;
    if (!this.#language || this.#text.length > MOST) return;
    load();
    waiting.add(this);
    ask();
  }

  colour() {
    if (this.#isColoured || !this.element.isConnected || !library.getLanguage(this.#language)) return;
    const start = performance.now();
    const { value } = library.highlight(this.#text, { language: this.#language, ignoreIllegals: true });
    patch(this.#code, spans(value));
    this.#isColoured = true;
    const took = performance.now() - start;
    this.dueAt = performance.now() + Math.max(PAUSE, took * SHARE);
  }
}
