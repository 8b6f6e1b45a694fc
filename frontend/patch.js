// Making an element's content equal to another one's, by touching only what differs.
//
// Nodes that stay the same stay in the page, and with them selections, focus and scroll positions inside.

const live = new WeakMap();

/**
 * Let `element` be updated by its owner: `owner.take(other)` makes it show what `other`, the owner of the
 * element that is wanted in its place, shows. Both owners have the same class.
 */
export function own(element, owner) {
  live.set(element, owner);
}

export function ownerOf(element) {
  return live.get(element) ?? null;
}

/** Make the children of `element` equal to those of `wanted`, which loses them. */
export function patch(element, wanted) {
  let at = element.firstChild;
  for (const next of [...wanted.childNodes]) {
    if (!at) {
      element.append(next);
      continue;
    }
    const following = at.nextSibling;
    if (!turnInto(at, next)) at.replaceWith(next);
    at = following;
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

/** False if the node cannot become like the other one. */
function turnInto(node, wanted) {
  if (node.nodeType !== wanted.nodeType || node.nodeName !== wanted.nodeName) return false;
  if (node.nodeType === Node.TEXT_NODE) {
    setText(node, wanted.data);
    return true;
  }
  const owner = live.get(node);
  const other = live.get(wanted);
  if (owner || other) {
    if (owner?.constructor !== other?.constructor) return false;
    owner.take(other);
    return true;
  }
  copyAttributes(node, wanted);
  patch(node, wanted);
  return true;
}

/** Text that has only grown is appended to: a selection in what was there stays. */
export function setText(node, text) {
  if (node.data === text) return;
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

function copyAttributes(node, wanted) {
  for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}
