// Dates as the reader's zone and language have them. The server wrote them in UTC, for where this does not run.

const language = document.documentElement.lang || undefined;
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

/** "now", "5 minutes ago", "yesterday"; a date, where it is longer than a week ago. */
export function since(date, now = new Date()) {
  const minutes = Math.round((date - now) / 60_000);
  if (minutes > -1) return ago.format(0, "second");
  if (minutes > -60) return ago.format(minutes, "minute");
  if (minutes > -24 * 60) return ago.format(Math.round(minutes / 60), "hour");
  const days = Math.round(minutes / (24 * 60));
  return days > -8 ? ago.format(days, "day") : day.format(date);
}

/** Every `<time>` of the page: `data-day` to the day, `data-exact` to the minute, else how long ago. */
export function drawTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if ("day" in time.dataset) time.textContent = day.format(date);
    else if ("exact" in time.dataset) time.textContent = exact.format(date);
    else time.textContent = since(date);
    time.title = full.format(date);
  }
}
