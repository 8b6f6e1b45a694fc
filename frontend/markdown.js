// An answer's Markdown, drawn so that nothing in it can run, load or look like a part of the portal.
//
// Three walls, each enough alone: raw HTML is shown as text, what marked makes is sanitised by
// DOMPurify down to plain formatting, and the page's Content-Security-Policy forbids the rest.

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { el } from "konstruct/dom";
import { t } from "konstruct/page";

const TAGS = [
  "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
  "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
const CLEAN = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "title", "start", "align", "class"],
  // Not addresses, so not held against the pattern below.
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  // Whole addresses only: a relative one would lead to a page of ours that the model chose.
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

function escape(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    html: ({ text }) => escape(text),
    // An image is fetched when it is seen, and its address can carry what was said: so it is a link.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(t("image", { name: text || href }))}</a>`,
    checkbox: ({ checked }) => `${checked ? "☑" : "☐"} `,
  },
});

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    if (node.hasAttribute("href")) {
      node.setAttribute("target", "_blank");
      node.setAttribute("rel", "noopener noreferrer nofollow");
      // Where the link leads, whatever it says.
      node.setAttribute("title", node.getAttribute("href"));
    }
  } else {
    node.removeAttribute("title");
  }
  // The one class that marked gives: a code block's language.
  if (node.hasAttribute("class") && !(node.tagName === "CODE" && /^language-[\w+#.-]+$/.test(node.className))) {
    node.removeAttribute("class");
  }
});

function blockElement(token, links) {
  const tokens = Object.assign([token], { links });
  const block = el("div", { class: "block" });
  block.append(purify.sanitize(marked.parser(tokens), CLEAN));
  for (const code of block.querySelectorAll("pre > code")) frameCode(code);
  for (const table of block.querySelectorAll("table")) {
    const scroller = el("div", { class: "table", tabindex: "0" });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  return block;
}

/** A code block gets its language's name and a copy button (message.js listens for it). */
function frameCode(code) {
  const language = /^language-(.+)$/.exec(code.className)?.[1] ?? "";
  const copy = el("button", { type: "button", class: "copy-code" }, t("copy"));
  const frame = el("div", { class: "code" }, el("div", { class: "code-head" }, el("span", {}, language), copy));
  const pre = code.parentElement;
  pre.setAttribute("tabindex", "0");
  pre.replaceWith(frame);
  frame.append(pre);
}

/**
 * Draws a growing text into an element. Each top-level block (paragraph, list, code…) is drawn anew
 * only if its source has changed, so that what is finished neither flickers nor loses its selection.
 */
export class MarkdownView {
  #blocks = [];
  #links = "";

  constructor(element) {
    this.element = element;
  }

  draw(text) {
    const tokens = marked.lexer(text);
    const wanted = tokens.filter((token) => token.type !== "space" && token.type !== "def");
    // A link's address may be defined after the block that uses it.
    const links = JSON.stringify(tokens.links);
    if (links !== this.#links) this.#cut(0);
    this.#links = links;
    let same = 0;
    while (same < wanted.length && this.#blocks[same]?.raw === wanted[same].raw) same++;
    this.#cut(same);
    for (const token of wanted.slice(same)) {
      const node = blockElement(token, tokens.links);
      this.#blocks.push({ raw: token.raw, node });
      this.element.append(node);
    }
  }

  #cut(from) {
    for (const { node } of this.#blocks.splice(from)) node.remove();
  }
}
