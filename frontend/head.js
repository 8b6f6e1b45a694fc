// The conversation's head: its title, with whom, the state of the connection, rename and delete.

import { api } from "konstruct/http";
import { el } from "konstruct/dom";
import { t } from "konstruct/page";

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
    open: () => {},
    act: async () => {
      await api("DELETE", path);
      location.assign("/");
    },
    failed: t("delete_failed"),
  });
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
