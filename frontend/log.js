// The messages of the conversation as they are seen; drawn at most once a frame of the screen, and less often
// where a frame takes long: the page has to be free for whoever uses it.

import { Answer, UserMessage } from "konstruct/message";
import { whenIdle } from "konstruct/page";

// So many of the newest messages are in the page; more while the reader is further up.
const WINDOW = 100;
// On a fresh page so many come first, and the others above them, as many at a time, while nothing else is to do.
const FIRST = 12;
const MORE = 60;
// A frame that takes no longer than this (ms), from what we draw to what the browser does with it, is light.
// After another, so much of the time at most goes into drawing.
const LIGHT = 8;
const SHARE = 0.5;

export class Log {
  #box;
  #follower;
  #faces;
  #views = new Map();
  #dirty = new Set();
  #all = true;
  #window = FIRST;
  #size = FIRST;
  #scheduled = false;
  #restsUntil = 0;
  #conversation;
  #context;
  #on;

  /**
   * @param {HTMLElement} box
   * @param {object} with  follower; faces (by id); context(): what views need to know beside the message
   *                       (message.js); on: what is asked for in them: step(message, by), regenerate(message),
   *                       edit(message, text) -> why not, draftEdit(edit), rate(message, value, comment)
   *                       -> a promise, refused(sentence), announce(sentence)
   */
  constructor(box, { follower, faces, context, on }) {
    this.#box = box;
    this.#follower = follower;
    this.#faces = faces;
    this.#context = context;
    this.#on = { ...on, faceOf: (message) => faces.get(message.agent_id) };
  }

  show(conversation) {
    this.#conversation = conversation;
    this.redraw(null);
    whenIdle(() => this.#fill(), { timeout: 1000 });
  }

  #fill() {
    if (this.#window >= WINDOW) return;
    this.#window = Math.min(WINDOW, this.#window + FIRST);
    this.#follower.holding(() => {
      this.#size = Math.max(this.#size, this.#window);
      this.drawNow();
    });
    whenIdle(() => this.#fill(), { timeout: 1000 });
  }

  /** Draw this message anew (null: look at all of them) with the next frame. */
  redraw(message) {
    if (message) this.#dirty.add(message.key);
    else this.#all = true;
    if (this.#scheduled) return;
    this.#scheduled = true;
    // drawNow may have come before the frame did.
    const frame = () => requestAnimationFrame(() => this.#scheduled && this.#drawFrame());
    const rest = this.#restsUntil - performance.now();
    if (rest > 0) setTimeout(frame, rest);
    else frame();
  }

  #drawFrame() {
    const start = performance.now();
    this.drawNow();
    // The browser lays out and paints before it comes to its next task.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      const took = performance.now() - start;
      this.#restsUntil = took > LIGHT ? start + took / SHARE : 0;
    };
    port2.postMessage(null);
  }

  nameOf(message) {
    return this.#faces.get(message.agent_id)?.name;
  }

  /** Whether messages are known that lie before those in the page. */
  get hasMore() {
    return this.#conversation.branch().length > this.#size;
  }

  /** Bring some more of them into the page. */
  showMore() {
    this.#size += MORE;
    this.#window = Math.min(WINDOW, this.#window + MORE);
    this.redraw(null);
    this.drawNow();
  }

  drawNow() {
    this.#scheduled = false;
    if (this.#follower.follows) this.#size = this.#window;
    const branch = this.#conversation.branch().slice(-this.#size);
    const context = this.#context();
    const keys = new Set(branch.map((message) => message.key));
    const focused = this.#focusedTool();
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    let before = null;
    for (const message of branch) {
      const known = this.#views.get(message.key);
      const view = known ?? this.#make(message);
      if (!known || this.#all || this.#dirty.has(message.key)) view.draw(message, context);
      const place = before ? before.nextSibling : this.#box.firstChild;
      if (view.element !== place) this.#box.insertBefore(view.element, place);
      before = view.element;
    }
    this.#all = false;
    this.#dirty.clear();
    this.#follower.keep();
    if (focused) this.#focusAgain(focused, branch);
  }

  /** The view of the message, if it is shown. */
  view(message) {
    return this.#views.get(message.key);
  }

  /** Which of the small buttons has the focus, and in which place of the branch. */
  #focusedTool() {
    const tool = document.activeElement?.closest("[data-tool]");
    const article = tool?.closest("article");
    if (!article || !this.#box.contains(article)) return null;
    return { tool, name: tool.dataset.tool, index: [...this.#box.children].indexOf(article) };
  }

  /** Another version has taken the place: the same button there gets the focus. */
  #focusAgain({ tool, name, index }, branch) {
    if (tool.isConnected && document.activeElement === tool) return;
    const place = branch[Math.min(index, branch.length - 1)];
    const twin = place && this.view(place)?.element.querySelector(`[data-tool=${name}]`);
    twin?.focus({ preventScroll: true });
  }

  #make(message) {
    const view = message.role === "user" ? new UserMessage(message, this.#on) : new Answer(message, this.#on);
    this.#views.set(message.key, view);
    return view;
  }
}
