// The memory page: what each employee knows of the person, and the workspace's shared notes.

import { avatar, el } from "konstruct/dom";
import { api } from "konstruct/http";
import { counted, MemoryItem, MemoryList } from "konstruct/memories";
import { data, debounce, t } from "konstruct/page";
import { startSidebar } from "konstruct/sidebar";

const KINDS = ["fact", "note", "exchange"];
const faces = new Map(data.faces.map((face) => [face.id, face]));
const announce = document.getElementById("announce");
const groups = [];

function say(sentence) {
  // Said again although it is the same.
  announce.textContent = "";
  requestAnimationFrame(() => (announce.textContent = sentence));
}

function nameOf(id) {
  return faces.get(id)?.name ?? t("memory_nobody");
}

// --- one employee ------------------------------------------------------------------------------------

/** What one employee knows: facts first, then what was said. */
class Group {
  #agentId;
  #counts;
  #lists = new Map();
  #body = el("div", { class: "memory-body" });
  #empty = el("p", { class: "memory-empty" });
  #offNote = el("p", { class: "notice", hidden: true });
  #forgetAll = el("button", { type: "button", class: "button is-small is-danger" });
  #heading;
  #switch = null;

  constructor({ agent_id: agentId, counts, lists, off }) {
    this.#agentId = agentId;
    this.#counts = counts;
    const face = faces.get(agentId);
    const id = `known-${agentId ?? "own"}`;
    this.#heading = el("h2", { id, tabindex: -1 }, nameOf(agentId));
    this.#forgetAll.textContent = t("memory_forget_all_of", { name: nameOf(agentId) });
    this.#forgetAll.addEventListener("click", () => askToForget(this));
    if (face) this.#switch = this.#makeSwitch(face, off);
    const title = face && !face.is_active ? t("memory_retired") : face?.title;
    this.element = el(
      "section", { class: "panel knower", "aria-labelledby": id },
      el("div", { class: "knower-head" }, face ? avatar(face, true) : null,
        el("div", { class: "knower-name" }, this.#heading, title ? el("p", {}, title) : null),
        this.#switch),
      this.#offNote, this.#empty, this.#body,
      agentId ? this.#forgetAll : null,
    );
    for (const kind of KINDS) if (lists[kind]) this.#list(kind).show(lists[kind]);
    this.#showOff(off);
    this.#draw();
  }

  get agentId() {
    return this.#agentId;
  }

  get isEmpty() {
    return KINDS.every((kind) => !this.#counts[kind]);
  }

  get total() {
    return KINDS.reduce((sum, kind) => sum + this.#counts[kind], 0);
  }

  focus() {
    this.#heading.focus();
  }

  /** Ask anew how much is known, and for what is shown of it: something was forgotten. */
  async reload(counts) {
    const found = counts.items.find((count) => count.agent_id === this.#agentId);
    this.#counts = { fact: found?.facts ?? 0, note: found?.notes ?? 0, exchange: found?.exchanges ?? 0 };
    const waits = KINDS.map((kind) => {
      if (!this.#counts[kind]) this.#lists.get(kind)?.show({ items: [], next_cursor: null });
      // The API knows no "of no employee"; there, what is forgotten was taken out already.
      else if (this.#agentId) return this.#list(kind).reload();
      return null;
    });
    await Promise.all(waits);
    this.#draw();
  }

  #list(kind) {
    const known = this.#lists.get(kind);
    if (known) return known;
    const list = new MemoryList(this.#agentId ? { agent_id: this.#agentId, kind } : { kind }, {
      path: "/memories",
      limit: data.limit,
      edited: () => say(t("memory_saved")),
      forgotten: (item) => forgotten(item, list, () => this.focus()),
    });
    this.#lists.set(kind, list);
    return list;
  }

  #draw() {
    const parts = KINDS.filter((kind) => this.#counts[kind]).flatMap((kind) => {
      const heading = el("h3", {}, t(`memory_kind_${kind}`), " ", el("span", { class: "count" }, String(this.#counts[kind])));
      return [heading, this.#lists.get(kind)?.element].filter(Boolean);
    });
    // Only what is not there yet is put in: an element that is moved loses the focus.
    for (const child of [...this.#body.children]) if (!parts.includes(child)) child.remove();
    parts.forEach((part, index) => {
      if (this.#body.children[index] !== part) this.#body.insertBefore(part, this.#body.children[index] ?? null);
    });
    this.element.classList.toggle("is-empty", this.isEmpty);
    this.#empty.textContent = this.isEmpty ? t("memory_knows_nothing", { name: nameOf(this.#agentId) }) : "";
    this.#empty.hidden = !this.isEmpty;
    this.#forgetAll.hidden = this.isEmpty;
  }

  #makeSwitch(face, off) {
    const button = el("button", {
      type: "button", class: "switch", role: "switch", "aria-checked": String(!off),
      "aria-label": t("memory_switch", { name: face.name }),
    }, el("span", { class: "switch-track", "aria-hidden": "true" }), el("span", { class: "switch-word" }));
    button.addEventListener("click", async () => {
      const wanted = button.getAttribute("aria-checked") === "true";
      this.#showOff(wanted);
      try {
        await api("PUT", "/memories/off", { body: { agent_id: face.id, off: wanted } });
        say(t(wanted ? "memory_is_off" : "memory_is_on", { name: face.name }));
      } catch (error) {
        console.warn("memory could not be switched", error);
        this.#showOff(!wanted);
        say(t("memory_switch_failed"));
        this.#offNote.textContent = t("memory_switch_failed");
        this.#offNote.hidden = false;
      }
    });
    return button;
  }

  #showOff(off) {
    if (!this.#switch) return;
    this.#switch.setAttribute("aria-checked", String(!off));
    this.#switch.querySelector(".switch-word").textContent = t(off ? "memory_word_off" : "memory_word_on");
    this.#offNote.hidden = !off;
    this.#offNote.textContent = off ? t("memory_off_note", { name: nameOf(this.#agentId) }) : "";
  }
}

/** A memory is gone: with it may be others that said the same. The focus goes to what is next to it. */
async function forgotten(item, list, fallback) {
  const next = list.neighbour(item);
  list.remove(item.memory.id);
  if (next) next.focus();
  else fallback();
  say(t("memory_forgotten"));
  await refresh(item.memory.employee?.id);
  // It was among those that said the same.
  if (document.activeElement === document.body) fallback();
}

/** Look anew at what an employee knows, and at what is found. */
async function refresh(agentId) {
  try {
    const counts = await api("GET", "/memories/counts");
    const touched = groups.filter((group) => agentId === undefined || group.agentId === agentId);
    await Promise.all(touched.map((group) => group.reload(counts)));
    if (results && (await results.reload())) drawFound();
  } catch (error) {
    console.warn("the page could not be brought up to date", error);
    say(t("load_failed"));
  }
  drawWhole();
}

// --- forgetting much ---------------------------------------------------------------------------------

const dialog = document.getElementById("forget-dialog");
const dialogProblem = dialog.querySelector(".field-error");
let askedFor = null;

/** Ask once; `group` null: everything of everybody. */
function askToForget(group) {
  askedFor = group;
  const head = document.getElementById("forget-head");
  const total = groups.reduce((sum, one) => sum + one.total, 0);
  head.textContent = group ? t("memory_forget_all_head", { name: nameOf(group.agentId) }) : t("memory_forget_everything_head");
  document.getElementById("forget-text").textContent = counted("memory_forget_all_text", group ? group.total : total);
  dialogProblem.hidden = true;
  dialog.showModal();
}

function startForgetting() {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const group = askedFor;
    try {
      await api("DELETE", group ? `/memories?agent_id=${group.agentId}` : "/memories");
    } catch (error) {
      dialogProblem.textContent = error.status ? error.message : t("memory_forget_failed");
      dialogProblem.hidden = false;
      return;
    }
    dialog.close();
    await refresh(group?.agentId);
    if (group) group.focus();
    else document.getElementById("memory-head").focus();
    say(t("memory_all_forgotten"));
  });
  document.getElementById("forget-everything").addEventListener("click", () => askToForget(null));
}

// --- search ------------------------------------------------------------------------------------------

const found = document.getElementById("found");
const known = document.getElementById("known");
let results = null;

function startSearch() {
  const search = document.getElementById("memory-search");
  search.addEventListener("input", debounce(250, () => look(search.value.trim())));
}

async function look(words) {
  notes.search(words);
  known.hidden = words !== "";
  found.hidden = words === "";
  if (!words) {
    results = null;
    found.replaceChildren();
    return;
  }
  const list = results ?? new MemoryList({}, {
    path: "/memories",
    limit: data.limit,
    face: (memory) => memory.employee?.name ?? null,
    edited: () => {
      say(t("memory_saved"));
      refresh();
    },
    forgotten: (item) => forgotten(item, list, () => document.getElementById("memory-search").focus()),
  });
  results = list;
  try {
    if (!(await list.reload({ search: words }))) return;
    drawFound();
    if (!list.size) say(t("nothing_found"));
  } catch (error) {
    if (error.name === "AbortError") return;
    found.replaceChildren(el("p", { class: "field-error" }, error.status === 422 ? error.message : t("load_failed")));
  }
}

function drawFound() {
  const nothing = el("p", { class: "memory-empty" }, t("nothing_found"));
  const wanted = results.size ? results.element : nothing;
  // Put in anew, it would lose the focus.
  if (found.firstElementChild !== wanted) found.replaceChildren(wanted);
}

// --- shared notes ------------------------------------------------------------------------------------

/** Out comes what lets the notes be searched. */
function startNotes() {
  const section = document.getElementById("notes");
  const box = document.getElementById("notes-list");
  const empty = document.getElementById("notes-empty");
  const heading = document.getElementById("notes-head");
  let words = "";
  const draw = () => {
    empty.hidden = list.size > 0;
    section.hidden = words !== "" && list.size === 0;
  };
  const list = new MemoryList({}, {
    path: "/memories/notes",
    verb: "remove",
    limit: data.limit,
    fixed: !data.manages,
    edited: () => say(t("memory_saved")),
    forgotten: (item) => {
      const next = list.neighbour(item);
      list.remove(item.memory.id);
      if (next) next.focus();
      else heading.focus();
      draw();
      say(t("memory_note_removed"));
    },
  });
  list.show(data.notes);
  box.append(list.element);
  draw();
  const search = async (wanted) => {
    if (wanted === words) return;
    words = wanted;
    try {
      if (await list.reload(words ? { search: words } : {})) draw();
    } catch (error) {
      if (error.name !== "AbortError") console.warn("notes could not be searched", error);
    }
  };
  const form = document.getElementById("note-form");
  if (form) startNoteForm(form, list, draw);
  return { search };
}

function startNoteForm(form, list, draw) {
  const { text, agent } = form.elements;
  for (const face of data.faces) if (face.is_active) agent.append(new Option(face.name, face.id));
  const problem = form.querySelector(".field-error");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    try {
      const body = { text: text.value, ...(agent.value ? { agent_id: agent.value } : {}) };
      list.add(await api("POST", "/memories/notes", { body }));
      text.value = "";
      draw();
      say(t("memory_note_added"));
    } catch (error) {
      problem.textContent = error.status ? error.message : t("not_connected");
      problem.hidden = false;
    }
    button.disabled = false;
    text.focus();
  });
}

// --- the one that was asked for ----------------------------------------------------------------------

function showAsked() {
  const box = document.getElementById("asked");
  const text = document.getElementById("asked-text");
  box.hidden = !data.asked;
  if (!data.asked) return;
  const gone = () => {
    text.textContent = t("memory_gone");
    text.hidden = false;
    document.getElementById("asked-head").focus();
  };
  if (!data.shown) return gone();
  const item = new MemoryItem(data.shown, {
    path: data.shown.shared ? "/memories/notes" : "/memories",
    verb: data.shown.shared ? "remove" : "forget",
    limit: data.limit,
    fixed: data.shown.shared && !data.manages,
    face: (memory) => (memory.shared ? t("memory_shared") : (memory.employee?.name ?? null)),
    edited: () => {
      say(t("memory_saved"));
      refresh(data.shown.employee?.id);
    },
    forgotten: async () => {
      list.remove();
      gone();
      say(t("memory_forgotten"));
      await refresh(data.shown.employee?.id);
    },
  });
  const list = el("ul", { class: "memories" }, item.element);
  document.getElementById("asked-item").append(list);
  document.getElementById("asked-head").focus();
}

/** What is said of all together. */
function drawWhole() {
  const nothing = groups.every((group) => group.isEmpty);
  document.getElementById("nothing").hidden = !nothing;
  document.getElementById("forget-everything").hidden = nothing;
  document.getElementById("memory-find").hidden = nothing && !results;
}

startSidebar();
for (const group of data.groups) {
  const view = new Group(group);
  groups.push(view);
}
groups.sort((a, b) => Number(a.isEmpty) - Number(b.isEmpty));
document.getElementById("groups").append(...groups.map((group) => group.element));
startForgetting();
startSearch();
const notes = startNotes();
drawWhole();
showAsked();
