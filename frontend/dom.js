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
