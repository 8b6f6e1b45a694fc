// What a half-written text will most likely become, so that it is drawn once and not first as something else.
//
// `**bo` is drawn bold, `[text](http://exa` as text without its brackets, a table with its first line; a line
// that is only a marker so far (`-`, `##`, two of a fence's three ticks) waits for what comes next. Only the
// end of the text is touched, and only what is open there. A finished text is never mended.

const FENCE = /^[\s>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*$)|~{3,})/;
// Lines that may yet become something else: a list's or heading's sign, a rule, a table's bar, a fence, a box.
const ONLY_MARKER = /^[\s>]*(?:[-*+]|\d{1,9}[.)]?|#{1,6}|[-=_*~`|]+|(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]?\]?|[-*+]|\*\*|`{1,2}))?[ \t]*$/;
// Where a paragraph, item, heading or quoted line begins: what is open before it does not reach past it.
const BEGINS = /^[\s>]*(?:[-*+][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t])/;
// A formula that stays open for longer (characters) was not meant as one.
const LONGEST_FORMULA = 1500;

/** The source, changed at its end so that nothing is left half open. */
export function mend(source) {
  const lines = source.split("\n");
  const fence = openFence(lines);
  if (fence) return mendFence(lines, fence);
  if (ONLY_MARKER.test(lines.at(-1))) lines.pop();
  let start = lines.length;
  while (start > 0 && lines[start - 1].trim()) start--;
  let bars = lines.length;
  while (bars > start && /^ {0,3}\|/.test(lines[bars - 1])) bars--;
  const table = mendTable(lines.slice(bars));
  if (table) return [...lines.slice(0, bars), ...table].join("\n");
  for (let at = lines.length - 1; at > start; at--) if (BEGINS.test(lines[at])) start = at;
  const head = lines.slice(0, start).map((line) => `${line}\n`).join("");
  return head + mendInline(withoutOpenFormula(lines.slice(start).join("\n")));
}

/** The fence that is open at the end: {mark, at: its line}; null if there is none. */
function openFence(lines) {
  let open = null;
  lines.forEach((line, at) => {
    const mark = FENCE.exec(line)?.[1];
    if (!open && mark) open = { mark, at };
    else if (open && new RegExp(`^[\\s>]*${open.mark[0]}{${open.mark.length},}\\s*$`).test(line)) open = null;
  });
  return open;
}

function mendFence(lines, { mark, at }) {
  // The line after it makes marked see a fence; its language may still grow.
  if (at === lines.length - 1) return `${lines.join("\n")}\n`;
  // Some of the ticks that will close it.
  if (new RegExp(`^[\\s>]*${mark[0]}+$`).test(lines.at(-1))) lines.pop();
  return lines.join("\n");
}

/** A table's first lines, with as much below its head as makes it one; null if they are no table's. */
function mendTable(lines) {
  if (!lines.length || !/^ {0,3}\|.*[^\s|]/.test(lines[0])) return null;
  const [head, rule, ...rows] = lines;
  const count = cells(head);
  if (rule !== undefined && !/^[\s|:-]*$/.test(rule)) return null;
  if (rule !== undefined && rows.length) {
    const last = rows.pop();
    const bar = last.lastIndexOf("|") + 1;
    return [head, rule, ...rows, last.slice(0, bar) + mendInline(last.slice(bar))];
  }
  const isWhole = rule !== undefined && cells(rule) >= count && /\|\s*$/.test(rule) && !/\|\s*:?\s*\|/.test(rule);
  return [rule === undefined ? mendInline(head) : head, isWhole ? rule : `|${" --- |".repeat(count)}`];
}

function cells(line) {
  const inside = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inside.replace(/\\./g, "").split("|").length;
}

/** Half a formula would look like half-broken text, and is soon whole: it waits. */
function withoutOpenFormula(text) {
  for (const [begin, end] of [["$$", "$$"], ["\\[", "\\]"], ["\\(", "\\)"]]) {
    const at = text.lastIndexOf(begin);
    const isOpen = at >= 0 && (begin === end ? text.split(begin).length % 2 === 0 : !text.includes(end, at));
    if (isOpen && text.length - at < LONGEST_FORMULA) return text.slice(0, at);
  }
  return text;
}

const isSpace = (character) => character === undefined || /\s/.test(character);
const isSign = (character) => character === undefined || /[\p{P}\p{S}\s]/u.test(character);

/** Close what is open in a line of running text: emphasis, code, links. */
export function mendInline(text) {
  // {mark, at, length}: emphasis or a bracket that is open, in the order of the text.
  const open = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === "\\") {
      if (at + 1 === text.length) text = text.slice(0, at);
      at += 2;
    } else if (character === "`") {
      const mark = /^`+/.exec(text.slice(at))[0];
      const end = endOfCode(text, at + mark.length, mark);
      if (end < 0) return close(withCode(text, at, mark), open);
      at = end;
    } else if (character === "[" || text.startsWith("![", at)) {
      const mark = character === "[" ? "[" : "![";
      open.push({ mark, at, length: mark.length });
      at += mark.length;
    } else if (character === "]") {
      const place = open.findLastIndex(({ mark }) => mark.endsWith("["));
      if (place < 0) at += 1;
      else {
        open.splice(place);
        const end = endOfTarget(text, at + 1);
        if (end < 0) return close(`${text.slice(0, at)}]()`, open);
        at = end;
      }
    } else if (character === "<" && /^<\/?[a-z]*$/i.test(text.slice(at))) {
      return close(text.slice(0, at), open);
    } else if (character === "*" || character === "_" || character === "~") {
      const run = text.slice(at).match(character === "*" ? /^\*+/ : character === "_" ? /^_+/ : /^~+/)[0];
      if (at + run.length === text.length) return close(text.slice(0, at), open);
      flank(open, run, at, text);
      at += run.length;
    } else at += 1;
  }
  return close(text, open);
}

/** Where the code that began before `from` ends; -1 if it does not. */
function endOfCode(text, from, mark) {
  for (const { 0: run, index } of text.slice(from).matchAll(/`+/g)) {
    if (run.length === mark.length) return from + index + mark.length;
  }
  return -1;
}

function withCode(text, at, mark) {
  const inside = text.slice(at + mark.length).replace(/`+$/, "");
  return inside.trim() ? `${text.slice(0, at)}${mark}${inside}${mark}` : text.slice(0, at);
}

/**
 * Where what follows a closing bracket ends: its address in parentheses, its label in brackets, or nothing.
 * -1 if it is still being written.
 */
function endOfTarget(text, from) {
  if (from === text.length) return -1;
  if (text[from] === "[") {
    const end = text.indexOf("]", from);
    return end < 0 ? -1 : end + 1;
  }
  if (text[from] !== "(") return from;
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\n") return from;
    if (text[at] === "\\") at++;
    else if (text[at] === "(") depth++;
    else if (text[at] === ")" && --depth === 0) return at + 1;
  }
  return -1;
}

/** A run of emphasis signs opens or closes by what stands around it, roughly as CommonMark says. */
function flank(open, run, at, text) {
  const mark = run[0];
  if (mark === "~" && run.length !== 2) return;
  const before = at > 0 ? text[at - 1] : undefined;
  const after = text[at + run.length];
  const isLeft = !isSpace(after) && (!isSign(after) || isSign(before));
  const isRight = !isSpace(before) && (!isSign(before) || isSign(after));
  const canOpen = isLeft && (mark !== "_" || !isRight || isSign(before));
  const canClose = isRight && (mark !== "_" || !isLeft || isSign(after));
  let left = run.length;
  while (canClose && left > 0) {
    const place = open.findLastIndex((other) => other.mark[0] === mark);
    if (place < 0) break;
    const taken = Math.min(left, open[place].length);
    left -= taken;
    open[place].length -= taken;
    open.splice(open[place].length ? place + 1 : place);
  }
  if (canOpen && left > 0) open.push({ mark, at: at + run.length - left, length: left });
}

/** End the text with what closes all that is open, the innermost first. */
function close(text, open) {
  const still = open.filter(({ at }) => at < text.length);
  let found = text;
  let ends = "";
  for (const { mark, at, length } of still.reverse()) {
    const isEmpty = !found.slice(at + length).trim() && !ends;
    if (isEmpty) found = found.slice(0, at);
    else if (mark === "*" || mark === "_" || mark === "~") ends += mark.repeat(length);
    else if (!found.slice(at).includes("\n")) ends += "]()";
  }
  return ends ? found.trimEnd() + ends : found;
}
