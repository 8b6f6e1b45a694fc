// Scrolling along with what is written, until the reader scrolls up.

const NEAR = 48;

export class Follower {
  #box;
  #down;
  #follows = true;
  #last = 0;

  /**
   * @param {HTMLElement} box  what scrolls
   * @param {HTMLElement} down  the button back to the end
   */
  constructor(box, down) {
    this.#box = box;
    this.#down = down;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    down.addEventListener("click", () => this.toEnd({ smooth: true }));
    // The box changes height with the composer and a phone's keyboard.
    const resized = new ResizeObserver(() => this.keep());
    resized.observe(box);
    // Formulas come late, and move the end.
    for (const content of box.children) resized.observe(content);
  }

  /** Whether the reader is at the end, and so goes along with what is written. */
  get follows() {
    return this.#follows;
  }

  get #distance() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }

  #scrolled() {
    const up = this.#box.scrollTop < this.#last;
    this.#last = this.#box.scrollTop;
    // Only a move upwards ends following: content that grows moves the end away by itself.
    if (this.#distance <= NEAR) this.#follows = true;
    else if (up) this.#follows = false;
    this.#down.hidden = this.#follows;
  }

  /** After the content has grown: stay at the end if we were there. */
  keep() {
    if (this.#follows) this.#box.scrollTop = this.#box.scrollHeight;
    else this.#down.hidden = this.#distance <= NEAR;
  }

  toEnd({ smooth = false } = {}) {
    this.#follows = true;
    this.#down.hidden = true;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#box.scrollTo({ top: this.#box.scrollHeight, behavior: smooth && !calm ? "smooth" : "instant" });
  }

  /** Stay where the reader is, whatever is written at the end. */
  letGo() {
    this.#follows = false;
  }

  /** Bring the element to the middle of what is seen, and stay there. */
  show(element) {
    element.scrollIntoView({ block: "center" });
    this.#last = this.#box.scrollTop;
    this.#follows = this.#distance <= NEAR;
    this.#down.hidden = this.#follows;
  }

  /** Run `change`, and leave `before` (or `after()`, which takes its place) where it is seen. */
  pinned(before, after, change) {
    const top = before.getBoundingClientRect().top;
    change();
    const now = after()?.getBoundingClientRect().top ?? top;
    this.#box.scrollTop += now - top;
    this.#last = this.#box.scrollTop;
    this.#follows = this.#distance <= NEAR;
    this.#down.hidden = this.#follows;
  }

  /** Run `grow`, which adds content above, and leave what is seen where it is, or stay at the end. */
  holding(grow) {
    const fromEnd = this.#box.scrollHeight - this.#box.scrollTop;
    grow();
    // On the way to the end, too.
    if (this.#follows) this.keep();
    else this.#box.scrollTop = this.#box.scrollHeight - fromEnd;
  }
}
