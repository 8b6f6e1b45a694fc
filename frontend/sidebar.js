// The side of the page: the list of conversations, the drawer it is in on a phone, and the menus.

import { startList } from "konstruct/list";
import { forgetAll } from "konstruct/waiting";

export { leaveDeleted, patchConversation, watchList } from "konstruct/list";

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
  startList();
  startDrawer();
  startMenus();
  document.getElementById("sign-out").addEventListener("submit", forgetAll);
}
