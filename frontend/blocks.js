// One block of Markdown (paragraph, list, code…) as an element in which nothing can run, load or look like
// a part of the portal.
//
// Three walls, each enough alone: raw HTML is shown as text, what marked makes is sanitised by DOMPurify
// down to plain formatting, and the page's Content-Security-Policy forbids the rest.

import DOMPurify from "dompurify";
import { Lexer, Marked } from "marked";
import { CodeBlock } from "konstruct/code";
import { el } from "konstruct/dom";
import { Formula } from "konstruct/math";
import { t } from "konstruct/page";

const TAGS = [
  "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "kbd", "li", "ol", "p", "pre",
  "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
];
// The classes that the renderer below gives, and no others.
const CLASSES = { CODE: /^language-[\w+#.-]+$/, SPAN: /^(?:math(?: is-block)?|task(?: is-done)?)$/ };
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
// Tags without attributes that Markdown has no signs for.
const HARMLESS = /^<(?:br|\/?(?:sub|sup|kbd))\s*\/?>$/i;

// marked takes time that grows with the square of some texts' length, and recursion for nesting. So: longer
// paragraphs (characters) and whatever is nested deeper stay as they are written, and so does what is left
// after this time (ms).
const LONGEST = 10_000;
const TOO_DEEP = /^(?:[ \t]*(?:>|(?:[*+-]|\d{1,9}[.)])[ \t])){24}/m;
const PATIENCE = 500;

function escape(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Raw HTML is shown as it is written. */
function asText({ text, block }) {
  if (HARMLESS.test(text.trim())) return text;
  return block ? `<p>${escape(text.trim()).replaceAll("\n", "<br>")}</p>` : escape(text);
}

function formula(name, level, start, patterns) {
  return {
    name,
    level,
    start: (source) => source.match(start)?.index,
    tokenizer(source) {
      for (const pattern of patterns) {
        const match = pattern.exec(source);
        if (match?.[1].trim()) return { type: name, raw: match[0], text: match[1].trim() };
      }
    },
    renderer: ({ text }) => `<span class="math${level === "block" ? " is-block" : ""}">${escape(text)}</span>`,
  };
}

const options = {
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    html: asText,
    // An image is fetched when it is seen, and its address can carry what was said: so it is a link.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(t("image", { name: text || href }))}</a>`,
    checkbox: ({ checked }) => `<span class="task${checked ? " is-done" : ""}"></span> `,
  },
  tokenizer: {
    /** A line of equals signs makes no heading of a formula before it. */
    lheading(source) {
      const match = this.rules.block.lheading.exec(source);
      return match && /^ {0,3}(?:\$\$|\\\[)/m.test(match[0]) ? undefined : false;
    },
  },
  extensions: [
    formula("formula", "block", /^ {0,3}(?:\$\$|\\\[)/m, [
      // No longer than mending.js waits for the end of one.
      /^ {0,3}\$\$((?:(?!\$\$|\n[ \t]*\n)[\s\S]){1,1500})\$\$[ \t]*(?:\n|$)/,
      /^ {0,3}\\\[((?:(?!\\\]|\n[ \t]*\n)[\s\S]){1,1500})\\\][ \t]*(?:\n|$)/,
    ]),
    // As Pandoc has it: no space inside the dollars, no digit after them, so that prices are none.
    formula("inlineFormula", "inline", /\$|\\\(/, [
      /^\$\$([^$\n]+)\$\$/,
      /^\$(?![\s$])((?:\\[^\n]|[^$\\\n])*(?:\\[^\n]|[^\s$\\]))\$(?![\d$])/,
      /^\\\(((?:(?!\\\))[^\n])+)\\\)/,
    ]),
  ],
};
const marked = new Marked(options);

const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") secure(node);
  else node.removeAttribute("title");
  if (node.hasAttribute("class") && !CLASSES[node.tagName]?.test(node.className)) node.removeAttribute("class");
});

/** Null if it is none. */
function parseAddress(text) {
  return URL.canParse(text) ? new URL(text) : null;
}

function secure(link) {
  const url = parseAddress(link.getAttribute("href") ?? "");
  if (!url) {
    link.removeAttribute("href");
    link.removeAttribute("title");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
  // Where the link leads, whatever it says; hosts in the ASCII form, which looks like no other.
  link.setAttribute("title", url.href);
}

/**
 * The source's block tokens, as marked has them; `links` holds what `[label]: address` lines before it say.
 * They and the source's own are in the array's `links`.
 */
export function lex(source, links) {
  const lexer = new Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  for (const part of TOO_DEEP.test(source) ? source.split(/(\n[ \t]*\n)/) : [source]) {
    if (TOO_DEEP.test(part)) lexer.tokens.push(asWritten(part));
    else lexer.blockTokens(part, lexer.tokens);
  }
  const end = performance.now() + PATIENCE;
  for (const { src, tokens } of lexer.inlineQueue) {
    if (src.length > LONGEST || performance.now() > end) tokens.push(...lines(src));
    else readLine(lexer, src, tokens);
  }
  return lexer.tokens;
}

function readLine(lexer, source, tokens) {
  const before = tokens.length;
  try {
    lexer.inlineTokens(source, tokens);
  } catch (error) {
    // Nested too deeply for the stack.
    if (!(error instanceof RangeError)) throw error;
    tokens.splice(before, Infinity, ...lines(source));
  }
}

function asWritten(source) {
  return { type: "paragraph", raw: source, text: source, tokens: lines(source) };
}

function lines(source) {
  const found = source.split("\n").flatMap((line) => [{ type: "br", raw: "\n" }, { type: "text", raw: line, text: line }]);
  return found.slice(1);
}

/** The element of one block token. */
export function blockElement(token, links) {
  const block = el("div", { class: "block", dir: "auto" });
  // The commonest long block needs no HTML in between.
  if (token.type === "code") block.append(codeBlock(token.text, token.lang));
  else block.append(finish(purify.sanitize(marked.parser(Object.assign([token], { links })), CLEAN)));
  return block;
}

/** `info` is what stands behind the fence: its first word, if it may be a language's name. */
function codeBlock(text, info) {
  const language = /^[\w+#.-]{1,40}(?=\s|$|[,{:])/.exec(info ?? "")?.[0] ?? "";
  return new CodeBlock(text.replace(/\n$/, ""), language).element;
}

function finish(content) {
  for (const code of content.querySelectorAll("pre > code")) {
    code.parentElement.replaceWith(codeBlock(code.textContent, /^language-(.+)$/.exec(code.className)?.[1]));
  }
  for (const place of content.querySelectorAll("span.math")) {
    new Formula(place, place.textContent, place.classList.contains("is-block"));
  }
  for (const task of content.querySelectorAll("span.task")) {
    const isDone = task.classList.contains("is-done");
    task.setAttribute("role", "img");
    task.setAttribute("aria-label", isDone ? t("task_done") : t("task_open"));
    task.closest("li")?.classList.add("is-task");
  }
  for (const table of content.querySelectorAll("table")) {
    for (const head of table.querySelectorAll("thead th")) head.setAttribute("scope", "col");
    const scroller = el("div", { class: "table", role: "group", tabindex: "0", "aria-label": t("table") });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  for (const link of content.querySelectorAll("a[href]")) showHost(link);
  return content;
}

const CLAIM = /(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}/u;

/**
 * Say where the link leads if it looks as if it led elsewhere: another host in its words, a name before
 * an @, or a host in letters that look like others (shown in its ASCII form).
 */
function showHost(link) {
  const url = new URL(link.href);
  if (url.protocol === "mailto:") return;
  // Read as a person does: without what cannot be seen, and letters in their plain form.
  const claim = CLAIM.exec(link.textContent.normalize("NFKC").replace(/\p{Cf}/gu, ""))?.[0];
  const claimed = claim ? parseAddress(`http://${claim}`)?.hostname : null;
  const isOther = claim && claimed !== url.hostname && !url.hostname.endsWith(`.${claimed}`);
  const isOdd = url.username || url.password || /(?:^|\.)xn--/.test(url.hostname);
  if (isOther || isOdd) link.append(el("span", { class: "host", dir: "ltr" }, ` (${url.host})`));
}
