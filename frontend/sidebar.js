// The list of conversations: pages, search, live titles; and on a phone, the drawer it is in.

import { api } from "konstruct/http";
import { el } from "konstruct/dom";
import { data, daysAgo, debounce, t } from "konstruct/page";
import { forgetAll } from "konstruct/waiting";

const list = document.getElementById("conversations");
const search = document.getElementById("search");
const currentId = data.conversation?.id ?? null;

let items = data.sidebar.items;
let cursor = data.sidebar.next_cursor;
let words = "";
let asked = null;

function dayOf(item) {
  const days = daysAgo(new Date(item.updated_at));
  return days <= 0 ? "today" : days === 1 ? "yesterday" : days <= 7 ? "week" : "older";
}

function link(item) {
  const current = item.id === currentId ? "page" : null;
  return el("li", {}, el("a", { href: `/c/${item.id}`, "aria-current": current }, item.title || t("untitled")));
}

function draw() {
  const groups = [];
  for (const item of items) {
    const day = dayOf(item);
    if (groups.at(-1)?.day !== day) {
      const group = el("ul", { "aria-labelledby": `day-${day}` });
      groups.push({ day, group });
    }
    groups.at(-1).group.append(link(item));
  }
  const parts = groups.flatMap(({ day, group }) => [el("h2", { id: `day-${day}` }, t(day)), group]);
  if (!items.length) parts.push(el("p", { class: "side-empty" }, words ? t("nothing_found") : t("no_conversations")));
  const more = cursor ? el("div", { class: "side-more" }) : null;
  list.replaceChildren(...parts, ...(more ? [more] : []));
  if (more) bottom.observe(more);
}

async function load(next) {
  asked?.abort();
  const request = (asked = new AbortController());
  const query = new URLSearchParams({ search: words, ...(next ? { cursor: next } : {}) });
  try {
    const page = await api("GET", `/conversations?${query}`, { signal: request.signal });
    items = next ? [...items, ...page.items] : page.items;
    cursor = page.next_cursor;
    draw();
  } catch (error) {
    if (request.signal.aborted) return;
    const again = el("button", { type: "button", class: "link", onclick: () => load(next) }, t("load_failed"));
    list.append(el("p", { class: "side-empty" }, again));
  }
}

const bottom = new IntersectionObserver((seen) => {
  if (!seen.some((entry) => entry.isIntersecting)) return;
  bottom.disconnect();
  load(cursor);
});

/** A conversation has a new title, or a new message: patched in place, nothing is fetched. */
export function patchConversation(id, changes) {
  if (words) return;
  const known = items.find((item) => item.id === id);
  if (!known || Object.entries(changes).every(([name, value]) => known[name] === value)) return;
  Object.assign(known, changes);
  items.sort((a, b) => (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0));
  draw();
}

function startDrawer() {
  const side = document.getElementById("side");
  const opener = document.querySelector("[data-side=open]");
  const narrow = matchMedia("(max-width: 800px)");
  const set = (open) => {
    document.body.classList.toggle("has-side", open);
    opener.setAttribute("aria-expanded", String(open));
    // A closed drawer must not be reached by Tab; nor, while it is open, the page under it.
    side.inert = narrow.matches && !open;
    document.getElementById("main").inert = narrow.matches && open;
    if (narrow.matches) (open ? side.querySelector("[data-side=close]") : opener).focus({ preventScroll: true });
  };
  opener.addEventListener("click", () => set(true));
  for (const closer of document.querySelectorAll("[data-side=close]")) closer.addEventListener("click", () => set(false));
  side.addEventListener("keydown", (event) => event.key === "Escape" && narrow.matches && set(false));
  narrow.addEventListener("change", () => set(false));
  side.inert = narrow.matches;
}

/** A menu closes when one looks elsewhere. */
function startMenus() {
  const menus = [...document.querySelectorAll("details.menu")];
  const closeAll = (but) => menus.forEach((menu) => menu !== but && (menu.open = false));
  document.addEventListener("click", (event) => closeAll(event.target.closest("details.menu")));
  for (const menu of menus) {
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
}

export function startSidebar() {
  draw();
  startDrawer();
  startMenus();
  document.getElementById("sign-out").addEventListener("submit", forgetAll);
  search.addEventListener("input", debounce(250, () => {
    words = search.value.trim();
    load(null);
  }));
}
