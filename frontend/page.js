// What the server sent along with the page, and the sentences in the reader's language.

export const data = JSON.parse(document.getElementById("page-data").textContent);

/** The sentence of that name, with `{name}` and its like filled in from `values`. */
export function t(name, values = {}) {
  return data.texts[name].replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

const time = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Whole days between the date and today in the reader's zone: 0 today, 1 yesterday. */
export function daysAgo(date) {
  const midnight = (of) => new Date(of.getFullYear(), of.getMonth(), of.getDate());
  // Rounded, because a day on which clocks change has 23 or 25 hours.
  return Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
}

export function shortTime(iso) {
  const date = new Date(iso);
  return daysAgo(date) === 0 ? time.format(date) : dayAndTime.format(date);
}

export function fullTime(iso) {
  return full.format(new Date(iso));
}

/** Runs `later` once, `wait` ms after the last call. */
export function debounce(wait, later) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(later, wait, ...args);
  };
}

/** Runs `later` once there is nothing more urgent, as requestIdleCallback does; Safari has none. */
export const whenIdle =
  window.requestIdleCallback?.bind(window) ?? ((later) => setTimeout(later, 50, { timeRemaining: () => 10 }));
