// A socket: handshake, keepalive, reconnection. It knows no messages.
//
// States: "connecting", "ready", "offline" (will try again at `retryAt`, ms since the epoch), "resting" (until
// it is started again), and "closed" (for good; `reason` says why: "withdrawn" or "gone").

import { api, goSignIn } from "konstruct/http";

const CLOSE = { NOT_AUTHENTICATED: 4001, WITHDRAWN: 4003, GONE: 4004, TOO_MANY: 4029, TOO_BIG: 1009 };
const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
const HANDSHAKE_LIMIT = 15_000;
// A connection that stood this long was good: the next failure starts with short delays again.
const STEADY_AFTER = 10_000;
const PING_EVERY = 25_000;
const PONG_LIMIT = 10_000;
// Where there is reason for doubt.
const SOON = 3_000;
// After access ended: a new password may have been set in another tab, and this browser is just being given
// the session's new key.
const AGAIN = [1_000, 3_000, 9_000, 27_000];

export class Socket {
  #path;
  #onFrame;
  #onState;
  #onTooBig;
  #socket = null;
  #attempts = 0;
  #rejections = 0;
  #readyAt = 0;
  #withdrawn = false;
  #timers = {};
  state = { name: "connecting" };

  /**
   * @param {string} path  where the server listens for it
   * @param {object} on  frame(frame), state(state), tooBig(): the server refused a frame for its size
   */
  constructor(path, { frame, state, tooBig }) {
    this.#path = path;
    this.#onFrame = frame;
    this.#onState = state;
    this.#onTooBig = tooBig;
    // A network that changes, or a computer that slept, may have cut the connection without a word.
    addEventListener("online", () => this.#look());
    addEventListener("offline", () => this.#look());
    document.addEventListener("visibilitychange", () => document.hidden || this.#look());
    addEventListener("pagehide", () => this.#drop());
    // A page that comes back from the back/forward cache has lost its socket.
    addEventListener("pageshow", (event) => event.persisted && this.#connect());
  }

  start() {
    this.#connect();
  }

  /** Let go of the connection, until `start`. */
  rest() {
    this.#drop();
    if (this.state.name !== "closed") this.#set({ name: "resting" });
  }

  /** Try again now, if it is waiting to. */
  retry() {
    if (this.state.name === "offline") this.#connect();
  }

  /** See whether the connection stands: at once, if it should; by a new one, if it is waited for. */
  #look() {
    if (this.state.name === "ready") this.#ping(SOON);
    // The person may have signed in again in another tab.
    else if (this.state.reason === "withdrawn") this.#lookAgain();
    else if (navigator.onLine) this.retry();
  }

  /** Send a frame; false if the socket is not ready. */
  send(frame) {
    if (this.state.name !== "ready") return false;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
    // Closing already; the event that says so can take its time.
    if (this.#socket.readyState !== WebSocket.OPEN) this.#lost();
    return this.state.name === "ready";
  }

  /** Access ended; is there any now? Asked without a word, and only a yes changes what is said. */
  async #lookAgain() {
    try {
      await api("POST", "/token");
    } catch {
      // No, or not to be known now: the page says so already.
      return false;
    }
    if (this.state.reason === "withdrawn") this.#connect();
    return true;
  }

  #lookLater([delay, ...later]) {
    if (!delay || this.state.reason !== "withdrawn") return;
    this.#timers.again = setTimeout(async () => (await this.#lookAgain()) || this.#lookLater(later), delay);
  }

  #set(state) {
    this.state = state;
    this.#onState(state);
  }

  async #connect() {
    this.#drop();
    this.#set({ name: "connecting" });
    const attempt = (this.#timers.attempt = {});
    let token;
    try {
      token = await api("POST", "/token");
    } catch (error) {
      if (this.#timers.attempt === attempt) this.#tokenRefused(error);
      return;
    }
    // While the token was fetched, another attempt may have begun.
    if (this.#timers.attempt !== attempt) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.#path}`);
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(token.auth));
    socket.onmessage = (event) => this.#heard(JSON.parse(event.data));
    socket.onclose = (event) => this.#closed(event.code);
    this.#timers.handshake = setTimeout(() => this.#lost(), HANDSHAKE_LIMIT);
  }

  #tokenRefused(error) {
    if (error.status === 403 || (error.status === 401 && this.#withdrawn)) this.#end("withdrawn");
    else if (error.status === 401) goSignIn();
    else this.#wait();
  }

  #heard(frame) {
    clearTimeout(this.#timers.pong);
    this.#timers.pong = null;
    if (frame.type === "ready") {
      clearTimeout(this.#timers.handshake);
      this.#rejections = 0;
      this.#withdrawn = false;
      this.#readyAt = Date.now();
      this.#timers.ping = setInterval(() => this.#ping(), PING_EVERY);
      this.#set({ name: "ready" });
    }
    if (frame.type !== "pong") this.#onFrame(frame);
  }

  #ping(limit = PONG_LIMIT) {
    if (!this.send({ type: "ping" })) return;
    clearTimeout(this.#timers.pong);
    this.#timers.pong = setTimeout(() => this.#lost(), limit);
  }

  #closed(code) {
    if (code === CLOSE.WITHDRAWN) return this.#accessEnded();
    if (code === CLOSE.GONE) return this.#end(this.#withdrawn ? "withdrawn" : "gone");
    // One rejection can be a token that was too old when it arrived; two in a row are no accident.
    if (code === CLOSE.NOT_AUTHENTICATED && ++this.#rejections >= 2) return this.#end("withdrawn");
    if (code === CLOSE.TOO_BIG) this.#onTooBig();
    this.#lost(code === CLOSE.TOO_MANY);
  }

  /** It ended as it was: with another role, or under a new password, there may be another. */
  #accessEnded() {
    if (this.#withdrawn) return this.#end("withdrawn");
    this.#withdrawn = true;
    this.#connect();
  }

  #lost(crowded = false) {
    if (this.#readyAt && Date.now() - this.#readyAt > STEADY_AFTER) this.#attempts = 0;
    this.#wait(crowded);
  }

  #wait(crowded = false) {
    this.#drop();
    const longest = crowded ? LONGEST_DELAY : Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#attempts++);
    // Jitter: clients that a restart cut off together must not come back together.
    const delay = longest * (0.5 + Math.random() / 2);
    this.#timers.retry = setTimeout(() => this.#connect(), delay);
    this.#set({ name: "offline", retryAt: Date.now() + delay, crowded });
  }

  #end(reason) {
    this.#drop();
    this.#set({ name: "closed", reason });
    this.#lookLater(AGAIN);
  }

  /** Let go of the present socket and of all that waits for it. */
  #drop() {
    const { ping, ...others } = this.#timers;
    clearInterval(ping);
    Object.values(others).forEach(clearTimeout);
    this.#timers = {};
    this.#readyAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
