// What can be done with a conversation from the list: a menu beside its row, and the dialog for another title.

import { api } from "konstruct/http";
import { el } from "konstruct/dom";
import { t } from "konstruct/page";
import { toast } from "konstruct/toast";

const menu = el("div", { class: "menu-items pop", role: "menu", popover: "auto" });
let opener = null;

menu.addEventListener("keydown", (event) => {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  items[(next + items.length) % items.length].focus();
});
menu.addEventListener("toggle", (event) => {
  opener?.setAttribute("aria-expanded", String(event.newState === "open"));
});

/**
 * Open the menu of a conversation beside its button.
 * @param {object} item  as the list has it
 * @param {HTMLElement} button
 * @param {object} on  changed(item), removed(item): what was done and stands
 */
export function openMenu(item, button, on) {
  opener = button;
  const entries = [
    [t("rename"), () => askTitle(item, on)],
    item.archived_at ? null : [t(item.pinned_at ? "unpin" : "pin"), () => change(item, { pinned: !item.pinned_at }, on)],
    [t(item.archived_at ? "unarchive" : "archive"), () => change(item, { archived: !item.archived_at }, on)],
    [t("delete"), () => remove(item, on), "is-bad"],
  ];
  const items = entries.filter(Boolean).map(([label, act, look]) => {
    const entry = el("button", { type: "button", role: "menuitem", class: look }, label);
    entry.addEventListener("click", () => {
      menu.hidePopover();
      act();
    });
    return entry;
  });
  menu.replaceChildren(...items);
  // In the side, so that on a phone it is in front of the drawer and within what can be reached.
  button.closest(".side").append(menu);
  menu.showPopover();
  const { left, right, top, bottom } = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(right - width + 24, innerWidth - width - 8, left))}px`;
  menu.style.top = `${bottom + height + 12 < innerHeight ? bottom + 4 : Math.max(8, top - height - 4)}px`;
  menu.firstElementChild.focus();
}

async function change(item, changes, on) {
  const path = `/conversations/${item.id}`;
  try {
    on.changed(await api("PATCH", path, { body: changes }));
  } catch (error) {
    return toast(error.status === 404 ? t("gone") : t("change_failed"));
  }
  if (changes.archived === undefined) return;
  toast(t(changes.archived ? "archived" : "unarchived"), {
    label: t("undo"),
    act: async () => on.changed(await api("PATCH", path, { body: { archived: !changes.archived } })),
  });
}

async function remove(item, on) {
  try {
    await api("DELETE", `/conversations/${item.id}`);
  } catch (error) {
    if (error.status !== 404) return toast(t("delete_failed"));
  }
  on.removed(item);
}

/** Say that the conversation was deleted, and offer it back. `restored(item)` is told if it is taken back. */
export function offerBack(item, { restored }) {
  toast(t("deleted", { title: item.title || t("untitled") }), {
    label: t("undo"),
    act: async () => {
      try {
        restored(await api("POST", `/conversations/${item.id}/restore`));
      } catch {
        throw new Error(t("restore_failed"));
      }
    },
  });
}

function askTitle(item, on) {
  const input = el("input", { name: "title", required: true, maxlength: 200, autocomplete: "off" });
  input.value = item.title;
  const problem = el("p", { class: "field-error", role: "alert", hidden: true });
  const cancel = el("button", { type: "button", class: "button" }, t("cancel"));
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id: "list-rename-head" }, t("rename_head")),
    el("label", { class: "field" }, el("span", {}, t("title")), input),
    problem,
    el("div", { class: "actions" }, cancel, el("button", { class: "button is-main" }, t("rename"))),
  );
  const dialog = el("dialog", { "aria-labelledby": "list-rename-head" }, form);
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.focus({ preventScroll: true });
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      on.changed(await api("PATCH", `/conversations/${item.id}`, { body: { title: input.value.trim() } }));
      dialog.close();
    } catch (error) {
      problem.textContent = error.status === 422 ? error.message : t("rename_failed");
      problem.hidden = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  input.select();
}
