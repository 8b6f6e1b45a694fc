// The conversation's head: its title, with whom, the state of the connection, rename and delete.

import { api } from "konstruct/http";
import { el } from "konstruct/dom";
import { counted } from "konstruct/memories";
import { t } from "konstruct/page";
import { startSharing } from "konstruct/share_dialog";
import { leaveDeleted, watchList } from "konstruct/sidebar";
import { toast } from "konstruct/toast";

const title = document.getElementById("title");
const withWhom = document.getElementById("with");
const connection = document.getElementById("connection");

export function showTitle(text) {
  title.textContent = text || t("untitled");
  document.title = `${text || t("untitled")} · Konstruct`;
}

export function showEmployee(face) {
  withWhom.textContent = face ? [face.name, face.title].filter(Boolean).join(" · ") : "";
}

let ticking, pausing;

/** Say what the connection is like, if it is not simply there. */
export function showConnection(state, retry) {
  clearInterval(ticking);
  clearTimeout(pausing);
  if (state.name === "ready") connection.hidden = true;
  // Most connections stand within this time; a line that flashes up tells nothing.
  else if (state.name === "connecting") pausing = setTimeout(() => say(t("connecting")), 600);
  else if (state.name === "closed") sayClosed(state.reason);
  else {
    const again = el("button", { type: "button", class: "link", onclick: retry }, t("retry"));
    const count = () => Math.max(1, Math.ceil((state.retryAt - Date.now()) / 1000));
    const words = el("span");
    const tell = () => {
      const name = state.crowded ? "crowded" : count() > 2 ? "offline_in" : "offline";
      words.textContent = t(name, { seconds: count() });
    };
    tell();
    ticking = setInterval(tell, 1000);
    say(words, " ", again);
  }
}

function say(...children) {
  connection.replaceChildren(...children);
  connection.hidden = false;
}

function sayClosed(reason) {
  if (reason === "gone") say(t("gone"), " ", el("a", { href: "/" }, t("home")));
  else say(t("withdrawn"), " ", el("a", { href: `/sign-in/?next=${location.pathname}` }, t("sign_in")));
}

/** The menu's dialogs. `renamed(info)` is told of the new title. */
export function startMenu(conversation, { renamed }) {
  const path = `/conversations/${conversation.id}`;
  startDialog("rename", {
    open: (form) => {
      form.elements.title.value = conversation.title;
      form.elements.title.select();
    },
    act: async (form) => renamed(await api("PATCH", path, { body: { title: form.elements.title.value.trim() } })),
    failed: t("rename_failed"),
  });
  startDialog("delete", {
    open: (form) => askAboutMemories(conversation.id, form.elements.forget),
    act: async (form) => {
      await api("DELETE", form.elements.forget.checked ? `${path}?forget=true` : path);
      leaveDeleted(conversation);
    },
    failed: t("delete_failed"),
  });
  startPlaces(conversation, path);
  startSharing(conversation);
}

/** Pinned or not, in the archive or not: two items of the menu that say what they would do. */
function startPlaces(conversation, path) {
  const pin = document.getElementById("pin");
  const archive = document.getElementById("archive-this");
  let now = { pinned: Boolean(conversation.pinnedAt), archived: Boolean(conversation.archivedAt) };
  const show = () => {
    pin.textContent = t(now.pinned ? "unpin" : "pin");
    archive.textContent = t(now.archived ? "unarchive" : "archive");
  };
  const hear = (info) => {
    if (info.id !== conversation.id) return;
    now = { pinned: Boolean(info.pinned_at), archived: Boolean(info.archived_at) };
    show();
  };
  const change = async (changes, sentence) => {
    try {
      hear(await api("PATCH", path, { body: changes }));
      toast(sentence);
    } catch (error) {
      console.warn("the conversation was not changed", error);
      toast(t("change_failed"));
    }
  };
  pin.addEventListener("click", () => {
    pin.closest("details").open = false;
    change({ pinned: !now.pinned }, t(now.pinned ? "unpinned" : "pinned_now"));
  });
  archive.addEventListener("click", () => {
    archive.closest("details").open = false;
    change({ archived: !now.archived }, t(now.archived ? "unarchived" : "archived"));
  });
  watchList(hear);
  show();
}

/** Whether what was remembered from the conversation goes too is asked if there is any. */
async function askAboutMemories(id, box) {
  const label = box.closest("label");
  box.checked = false;
  label.hidden = true;
  let words;
  try {
    const { total } = await api("GET", `/memories/counts/${id}`);
    words = total ? counted("memory_also", total) : "";
  } catch (error) {
    console.warn("memories could not be counted", error);
    words = t("memory_also_some");
  }
  label.querySelector("span").textContent = words;
  label.hidden = !words;
}

/**
 * Memory switched off or on in this conversation: the menu's item, and the word beside the title while it is off.
 * `say(sentence)` tells of it. Out comes what shows it for another employee.
 */
export function startMemory(conversation, { off, agentsOff, say }) {
  const item = document.getElementById("memory-switch");
  const tag = document.getElementById("memory-off");
  let isOff = off;
  const show = () => {
    item.setAttribute("aria-checked", String(!isOff));
    tag.hidden = !isOff && !agentsOff.has(conversation.agentId);
  };
  item.addEventListener("click", async () => {
    const wanted = !isOff;
    try {
      await api("PUT", "/memories/off", { body: { conversation_id: conversation.id, off: wanted } });
      isOff = wanted;
      say(t(wanted ? "memory_here_off" : "memory_here_on"));
    } catch (error) {
      console.warn("memory could not be switched", error);
      say(t("memory_switch_failed"));
    }
    show();
  });
  show();
  return show;
}

function startDialog(name, { open, act, failed }) {
  const dialog = document.getElementById(`${name}-dialog`);
  const form = dialog.querySelector("form");
  const problem = dialog.querySelector(".field-error");
  document.getElementById(name).addEventListener("click", (event) => {
    event.target.closest("details").open = false;
    problem.hidden = true;
    dialog.showModal();
    open(form);
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await act(form);
      dialog.close();
    } catch (error) {
      problem.textContent = error.status === 422 ? error.message : failed;
      problem.hidden = false;
    }
  });
}
