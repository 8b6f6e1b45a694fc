// How long a message may be.

import { data, t } from "konstruct/page";
import { countPoints } from "konstruct/points";

/** Why this text cannot be sent, as a sentence; null if it can. */
export function whyTooLong(text) {
  const { text: limit, frame } = data.limits;
  const count = countPoints(text);
  const number = (n) => n.toLocaleString();
  if (count > limit) return t("too_long", { count: number(count), limit: number(limit) });
  // The frame holds the text and some 300 bytes of ids; JSON escapes make the text longer.
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length + 512;
  return bytes > frame ? t("too_big") : null;
}
