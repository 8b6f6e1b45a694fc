// The list of conversations at the side: its pages, its archive, its search, and what changes it from anywhere.
//
// Changes are told by a socket of the list's own, while the page is looked at; whenever it stands anew, the
// first page is fetched once, since what happened before is not told. What this page does itself is shown at
// once.

import { api } from "konstruct/http";
import { offerBack, openMenu } from "konstruct/list_menu";
import { ListState } from "konstruct/list_state";
import { ListView } from "konstruct/list_view";
import { data, t } from "konstruct/page";
import { SearchView } from "konstruct/search_view";
import { Socket } from "konstruct/socket";
import { toast } from "konstruct/toast";

// A page that nobody looks at lets go of its socket after this time.
const REST_AFTER = 60_000;
const DELETED = "konstruct:deleted";
const currentId = data.conversation?.id ?? null;
const box = document.getElementById("conversations");
const archiveButton = document.getElementById("archive");

const main = new ListState();
const archive = new ListState(true);
let shown = main;
// By list: the page that is being fetched.
const loading = new Map();

const view = new ListView(box, {
  menu: (item, button) => openMenu(item, button, { changed: put, removed }),
  bottom: () => load(shown),
});
const search = new SearchView(document.getElementById("search"), box, { ended: () => view.draw(shown) });

function draw() {
  if (!search.isOn) view.draw(shown);
}

/** Fetch the next page of the list; with `anew`, its first. */
async function load(state, { anew = false } = {}) {
  if (loading.has(state) && !anew) return;
  const request = { meanwhile: [] };
  loading.set(state, request);
  const query = new URLSearchParams({ archived: state.archived });
  if (!anew) query.set("cursor", state.cursor);
  try {
    const page = await api("GET", `/conversations?${query}`);
    // Meanwhile it may have been begun anew.
    if (loading.get(state) !== request) return;
    if (anew) state.reset(page);
    else state.add(page);
    // What was told while the page was on its way is newer than the page.
    for (const change of request.meanwhile) change(state);
    loading.delete(state);
    draw();
  } catch (error) {
    if (loading.get(state) !== request) return;
    loading.delete(state);
    console.warn("the list could not be loaded", error);
    if (state === shown && !search.isOn) view.sayFailed(() => load(state, { anew }));
  }
}

/** Change both lists; a page that is on its way is changed as well once it is here. */
function apply(change) {
  for (const request of loading.values()) request.meanwhile.push(change);
  if ([main, archive].map(change).some(Boolean)) draw();
}

/** A conversation is listed so now: patched in place, nothing is fetched. */
function put(item) {
  apply((state) => state.put(item));
}

function drop(id) {
  search.remove(id);
  apply((state) => state.remove(id));
}

/** Deleted here: gone from the list, and for a while to be had back. */
function removed(item) {
  drop(item.id);
  if (item.id === currentId) leaveDeleted(item);
  else offerBack(item, { restored: put });
}

/** The conversation of this page was deleted: away from here, where it can be taken back. */
export function leaveDeleted({ id, title }) {
  sessionStorage.setItem(DELETED, JSON.stringify({ id, title }));
  location.assign("/");
}

/** Some of what is known of a conversation has changed: patched in place, nothing is fetched. */
export function patchConversation(id, changes) {
  apply((state) => state.patch(id, changes));
}

const watchers = [];

/** Have `watcher(item)` called whenever something is told of a conversation. */
export function watchList(watcher) {
  watchers.push(watcher);
}

function heard(frame) {
  if (frame.type === "ready" || frame.type === "missed") {
    load(main, { anew: true });
    if (shown === archive) load(archive, { anew: true });
  } else if (frame.type === "listed") {
    put(frame.conversation);
    for (const watcher of watchers) watcher(frame.conversation);
  } else if (frame.type === "gone") drop(frame.conversation_id);
}

function startSocket() {
  const socket = new Socket("/chat/list", { frame: heard, state: () => {}, tooBig: () => {} });
  let tired = null;
  const look = () => {
    clearTimeout(tired);
    if (document.hidden) tired = setTimeout(() => socket.rest(), REST_AFTER);
    else if (socket.state.name === "resting") socket.start();
  };
  document.addEventListener("visibilitychange", look);
  if (document.hidden) look();
  socket.start();
}

function startArchive() {
  archiveButton.addEventListener("click", () => {
    shown = shown === main ? archive : main;
    const on = shown === archive;
    archiveButton.setAttribute("aria-pressed", String(on));
    document.getElementById("archive-head").hidden = !on;
    // Fetched when it is first looked at, and after changes may have been missed.
    if (on) load(archive, { anew: true });
    else draw();
  });
}

function startImport() {
  const file = document.getElementById("import-file");
  document.getElementById("import").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    const form = new FormData();
    form.append("file", chosen);
    try {
      const made = await api("POST", "/conversations/import", { form });
      location.assign(`/c/${made.id}`);
    } catch (error) {
      toast(error.status === 422 ? error.message : t("import_failed"));
    }
  });
}

export function startList() {
  main.reset(data.sidebar);
  view.draw(main);
  startArchive();
  startImport();
  startSocket();
  const deleted = sessionStorage.getItem(DELETED);
  sessionStorage.removeItem(DELETED);
  if (deleted) {
    offerBack(JSON.parse(deleted), { restored: ({ id }) => location.assign(`/c/${id}`) });
  }
}
