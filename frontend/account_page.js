// My account: dates, a look at the password, and the appearance as soon as it is chosen.

import "konstruct/reveal";
import { drawTimes } from "konstruct/times";
import { forgetAll } from "konstruct/waiting";

drawTimes();

const stored = document.documentElement.dataset.theme ?? "system";
document.getElementById("profile").addEventListener("change", ({ target }) => {
  if (target.name === "theme") show(target.value);
});
// Left without saving, and come back to by the back button.
addEventListener("pageshow", (event) => event.persisted && show(stored));

function show(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

document.querySelector("[data-forget]").addEventListener("submit", forgetAll);
