// The messages of the conversation as they are seen; drawn at most once a frame of the screen.

import { Answer, UserMessage } from "konstruct/message";

export class Log {
  #box;
  #follower;
  #faces;
  #views = new Map();
  #dirty = new Set();
  #all = true;
  #scheduled = false;
  #conversation;
  #context;

  /**
   * @param {HTMLElement} box
   * @param {object} with  follower, faces (by id), context() -> what views need to know beside the message
   */
  constructor(box, { follower, faces, context }) {
    this.#box = box;
    this.#follower = follower;
    this.#faces = faces;
    this.#context = context;
  }

  show(conversation) {
    this.#conversation = conversation;
    this.redraw(null);
  }

  /** Draw this message anew (null: look at all of them) with the next frame. */
  redraw(message) {
    if (message) this.#dirty.add(message.key);
    else this.#all = true;
    if (this.#scheduled) return;
    this.#scheduled = true;
    // drawNow may have come before the frame did.
    requestAnimationFrame(() => this.#scheduled && this.drawNow());
  }

  nameOf(message) {
    return this.#faces.get(message.agent_id)?.name;
  }

  drawNow() {
    this.#scheduled = false;
    const branch = this.#conversation.branch();
    const context = this.#context();
    const keys = new Set(branch.map((message) => message.key));
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
  }

  #make(message) {
    const view = message.role === "user" ? new UserMessage(message) : new Answer(message, this.#faces.get(message.agent_id));
    this.#views.set(message.key, view);
    return view;
  }
}
