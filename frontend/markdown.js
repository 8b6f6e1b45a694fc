// A growing Markdown text, drawn into an element so that what is finished stays as it is.
//
// The text is drawn by blocks. A block that two others have followed is settled: its source is not looked at
// again, its nodes stay. What lies past the settled ones is read anew with each piece, and patched in. So the
// work of a step does not grow with the text, only with its last blocks; and of a long block of code not
// even with that.

import { blockElement, lex } from "konstruct/blocks";
import { mend } from "konstruct/mending";
import { ownerOf, patch } from "konstruct/patch";

// A block may change as long as something can still join it: a list's next item comes after an empty line.
const UNSETTLED = 2;
const FENCE = /^(`{3,}(?=[^`\n]*\n)|~{3,})[^\n]*\n/;

const isShown = (token) => token.type !== "space" && token.type !== "def";

export class MarkdownView {
  // The blocks shown: {raw, links, node}; see usedLinks.
  #blocks = [];
  #settledCount = 0;
  // The text that the settled blocks were made from.
  #settledText = "";
  // What `[label]: address` lines among it say.
  #links = {};
  // The block of code that is being written at the end: {before, mark, code}.
  #fence = null;

  constructor(element) {
    this.element = element;
  }

  /**
   * Draw the text. `final`: nothing will follow, so what is half open is drawn as it is; and all of it is read
   * once more, so that in the end it is the same as if it had come at once.
   */
  draw(text, { final = true } = {}) {
    if (text.includes("\r")) text = text.replace(/\r\n?/g, "\n");
    if (!final && this.#drawFence(text)) return;
    this.#fence = null;
    if (final || !text.startsWith(this.#settledText)) this.#start();
    const rest = text.slice(this.#settledText.length);
    const tokens = lex(final ? rest : mend(rest), this.#links);
    const shown = tokens.filter(isShown);
    shown.forEach((token, index) => this.#drawBlock(this.#settledCount + index, token, tokens.links));
    for (const { node } of this.#blocks.splice(this.#settledCount + shown.length)) node.remove();
    if (final) return;
    this.#noteFence(text, tokens);
    this.#settle(rest, tokens, shown);
  }

  #start() {
    this.#settledCount = 0;
    this.#settledText = "";
    this.#links = {};
  }

  #drawBlock(index, token, links) {
    const known = this.#blocks[index];
    if (known?.raw === token.raw && known.links === usedLinks(token.raw, links)) return;
    const node = blockElement(token, links);
    const block = { raw: token.raw, links: usedLinks(token.raw, links), node: known?.node ?? node };
    if (known) patch(known.node, node);
    else this.element.append(node);
    this.#blocks[index] = block;
  }

  /** Settle all but the last blocks, if what marked read is what was written there. */
  #settle(rest, tokens, shown) {
    const last = shown.at(-UNSETTLED);
    if (!last || shown.length <= UNSETTLED) return;
    const settled = tokens.slice(0, tokens.indexOf(last));
    const source = settled.map((token) => token.raw).join("");
    if (!rest.startsWith(source)) return;
    this.#define(settled);
    this.#settledText += source;
    this.#settledCount += shown.length - UNSETTLED;
  }

  /** Take in the addresses of labels; earlier blocks that use one are drawn anew. */
  #define(tokens) {
    const news = tokens.filter((token) => token.type === "def" && !(token.tag in this.#links));
    if (!news.length) return;
    for (const { tag, href, title } of news) this.#links[tag] ??= { href, title };
    for (let index = 0; index < this.#settledCount; index++) {
      const { raw } = this.#blocks[index];
      if (usedLinks(raw, this.#links) === this.#blocks[index].links) continue;
      const [token] = lex(raw, this.#links).filter(isShown);
      if (token) this.#drawBlock(index, { ...token, raw }, this.#links);
    }
  }

  #noteFence(text, tokens) {
    const last = tokens.at(-1);
    if (last?.type !== "code") return;
    const before = tokens.slice(0, -1).reduce((length, { raw }) => length + raw.length, this.#settledText.length);
    const match = FENCE.exec(text.slice(before));
    if (!match || isClosed(text.slice(before + match[0].length), match[1])) return;
    const code = ownerOf(this.#blocks.at(-1).node.firstChild);
    // `checked`: how much of its content holds no end of it.
    this.#fence = { before: text.slice(0, before + match[0].length), mark: match[1], code, checked: 0 };
  }

  /** While nothing but an open block of code grows: only add to it. False: something else is to be drawn. */
  #drawFence(text) {
    const fence = this.#fence;
    if (!fence || !text.startsWith(fence.before)) return false;
    const content = text.slice(fence.before.length);
    // Lines that are whole were looked at before.
    const tail = content.slice(fence.checked);
    if (isClosed(tail, fence.mark)) return false;
    const lineAt = fence.checked + tail.lastIndexOf("\n") + 1;
    fence.checked = lineAt;
    const isMark = new RegExp(`^ {0,3}${fence.mark[0]}+ *$`).test(content.slice(lineAt));
    fence.code.set((isMark ? content.slice(0, lineAt) : content).replace(/\n$/, ""));
    return true;
  }
}

/** Whether a whole line of the content, or its last one, closes the fence. */
function isClosed(content, mark) {
  return new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*\\n`, "m").test(content);
}

/** Which of the labels the block's source may use, with their addresses, as one text to compare. */
function usedLinks(raw, links) {
  if (!raw.includes("[")) return "";
  const source = raw.toLowerCase().replace(/\s+/g, " ");
  const used = Object.keys(links).filter((label) => source.includes(`[${label}]`));
  return used.map((label) => `${label} ${links[label].href} ${links[label].title ?? ""}`).join("\n");
}
