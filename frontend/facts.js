// Which model wrote an answer, how long it took and what it cost, in the reader's own way of writing numbers.

import { t } from "konstruct/page";

const seconds = new Intl.NumberFormat(undefined, {
  style: "unit", unit: "second", unitDisplay: "narrow", maximumSignificantDigits: 2,
});
const minutes = new Intl.NumberFormat(undefined, { style: "unit", unit: "minute", unitDisplay: "narrow" });
const dollars = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
const plain = new Intl.NumberFormat();

function duration(ms) {
  if (ms < 99_500) return seconds.format(ms / 1000);
  const whole = Math.round(ms / 1000);
  return `${minutes.format(Math.floor(whole / 60))} ${seconds.format(whole % 60)}`;
}

/** `short`, for a line, and `full`, for whoever points at it; both empty if nothing is known. */
export function factsOf({ model, duration_ms: ms, usage }) {
  const cost = usage?.cost_usd ? dollars.format(usage.cost_usd) : null;
  const took = ms == null ? null : duration(ms);
  // Without the provider's name, which routes the call: openai/gpt-4o.
  const short = [model?.split("/").at(-1), took, cost].filter(Boolean).join(" · ");
  const tokens =
    usage?.completion_tokens == null
      ? null
      : t("tokens", { asked: plain.format(usage.prompt_tokens), written: plain.format(usage.completion_tokens) });
  return { short, full: [model, tokens].filter(Boolean).join("\n") };
}
