// Showing one message of a conversation: where a search led, or a link to a message.

import { api } from "konstruct/http";

/**
 * Bring the message into the page, to the middle of the window, and mark it.
 * @param {string} id
 * @param {object} with  conversation, log, follower; path: of the API; isBeside: whether it is on another
 *                       branch than the one in use; selected(): its branch is in use now, fetch it;
 *                       older(): fetch the page above what is known, false if there is none
 */
export async function jumpTo(id, { conversation, log, follower, path, isBeside, selected, older }) {
  if (isBeside) {
    await api("POST", `${path}/select`, { body: { message_id: id } });
    await selected();
  }
  // At the end only the newest messages are kept in the page.
  follower.letGo();
  const isHere = () => conversation.branch().some((message) => message.id === id);
  while (!isHere() && (await older()));
  const message = conversation.find(id);
  if (!message || !isHere()) return;
  log.drawNow();
  while (!log.view(message) && log.hasMore) log.showMore();
  const { element } = log.view(message) ?? {};
  if (!element) return;
  element.tabIndex = -1;
  element.classList.add("is-found");
  element.addEventListener("animationend", () => element.classList.remove("is-found"), { once: true });
  // Messages out of sight have no height of their own yet: they get it on the way there.
  for (let times = 0; times < 4; times++) {
    follower.show(element);
    await new Promise(requestAnimationFrame);
  }
  element.focus({ preventScroll: true });
}
