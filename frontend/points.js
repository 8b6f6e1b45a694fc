// Offsets on the wire count Unicode code points; JavaScript's strings count UTF-16 units.

/** How many code points the text has. */
export function countPoints(text) {
  let count = text.length;
  for (let i = 1; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) continue;
    const before = text.charCodeAt(i - 1);
    if (before >= 0xd800 && before <= 0xdbff) count--;
  }
  return count;
}

/** The text without its first `count` code points. */
export function dropPoints(text, count) {
  let at = 0;
  for (; count > 0 && at < text.length; count--) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return text.slice(at);
}
