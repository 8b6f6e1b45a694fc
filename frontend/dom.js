// Making elements. Text is always set as text, never parsed.

/** An element: `el("p", {class: "x", hidden: true, onclick: f}, "text", child)`. Null children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Drawn on 20 by 20, as templates/portal/icons/ are.
const ICONS = {
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  previous: "M12 5l-5 5 5 5",
  next: "M8 5l5 5-5 5",
  copy: "M7.5 7.5h8v9h-8zM12.5 7.5v-4h-8v9h3",
  done: "M4.5 10.5l3.5 3.5 7.5-8",
  regenerate: "M16 10a6 6 0 1 1-1.8-4.3M16.2 3v3.6h-3.6",
  remove: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  edit: "M4 16l.8-3.4L13 4.4l2.6 2.6-8.2 8.2zM11.4 6l2.6 2.6",
  up: "M6.5 9l3-5.5c1.3 0 2 .8 1.8 2L11 8h4c.9 0 1.5.8 1.3 1.6l-1.2 5c-.2.8-.8 1.4-1.6 1.4h-7M6.5 8.5H3.5V16h3z",
  down: "M6.5 11l3 5.5c1.3 0 2-.8 1.8-2L11 12h4c.9 0 1.5-.8 1.3-1.6l-1.2-5C14.9 4.6 14.3 4 13.5 4h-7M6.5 11.5h-3V4h3z",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** An employee's face, as templates/portal/avatar.html draws it. */
export function avatar(face, large = false) {
  const place = { x: 20, y: 20, "text-anchor": "middle", "dominant-baseline": "central", fill: face.ink };
  return svg(
    "svg",
    { class: large ? "avatar is-large" : "avatar", viewBox: "0 0 40 40", "aria-hidden": "true" },
    svg("circle", { cx: 20, cy: 20, r: 20, fill: face.color }),
    svg("text", place, face.initials),
  );
}

/** Put text on the clipboard; false if the browser does not let us. */
export async function copyText(text) {
  try {
    // Missing where the page came over plain HTTP.
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  } catch (error) {
    console.warn("copying failed", error);
    return false;
  }
}
