// Formulas: TeX made into MathML, which the browser draws itself, without fonts or styles of ours.
//
// KaTeX is loaded with the first formula. Until then, and where it does not understand one, its source shows.

import { own } from "konstruct/patch";

// Longer ones stay as they are written (characters).
const MOST = 4000;
const MATHML = "http://www.w3.org/1998/Math/MathML";
// Elements and attributes that KaTeX makes and that only say how a formula looks.
const TAGS = new Set(
  ("math semantics annotation mrow mi mn mo ms mtext mspace msub msup msubsup munder mover munderover mfrac msqrt " +
    "mroot mtable mtr mtd mlabeledtr mpadded mphantom menclose mstyle merror mmultiscripts mprescripts none").split(" "),
);
const ATTRIBUTES = new Set(
  ("accent accentunder columnalign columnlines columnspacing depth display displaystyle encoding fence height " +
    "largeop linebreak linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize movablelimits " +
    "notation rowlines rowspacing rspace scriptlevel separator side stretchy symmetric voffset width").split(" "),
);

let katex = null;
let loading = null;
const waiting = new Set();

function load() {
  loading ??= import("katex").then(
    () => {
      // Not a module: it leaves itself behind.
      katex = globalThis.katex;
      for (const formula of waiting) formula.draw();
      waiting.clear();
    },
    (error) => console.warn("formulas stay as they are written", error),
  );
}

/** The second wall: nothing but MathML's presentation, whatever made it. */
function isPlain(node) {
  if (node.nodeType === Node.TEXT_NODE) return true;
  if (node.namespaceURI !== MATHML || !TAGS.has(node.localName)) return false;
  for (const { name } of node.attributes) if (!ATTRIBUTES.has(name) && name !== "xmlns") return false;
  return [...node.childNodes].every(isPlain);
}

/** A formula; its element is a span. */
export class Formula {
  #tex;
  #isBlock;

  constructor(element, tex, isBlock) {
    this.element = element;
    this.#tex = tex;
    this.#isBlock = isBlock;
    own(element, this);
    this.draw();
  }

  /** Show what another one shows (patch.js). */
  take(other) {
    if (other.#tex === this.#tex && other.#isBlock === this.#isBlock) return;
    this.#tex = other.#tex;
    this.#isBlock = other.#isBlock;
    this.element.className = other.element.className;
    this.draw();
  }

  draw() {
    this.element.textContent = this.#tex;
    this.element.classList.remove("is-drawn");
    if (this.#tex.length > MOST) return;
    if (!katex) {
      waiting.add(this);
      load();
      return;
    }
    const math = this.#math();
    if (!math) return;
    this.element.replaceChildren(math);
    this.element.classList.add("is-drawn");
  }

  /** Null if it is not understood. */
  #math() {
    const place = document.createElement("span");
    const options = {
      output: "mathml", displayMode: this.#isBlock, trust: false, strict: "ignore", maxSize: 20, maxExpand: 300,
    };
    try {
      katex.render(this.#tex, place, options);
    } catch (error) {
      // ParseError: half a formula, or TeX that KaTeX does not know.
      if (error instanceof katex.ParseError || error instanceof RangeError) return null;
      throw error;
    }
    const math = place.querySelector("math");
    return math && isPlain(math) ? math : null;
  }
}
