// The people page: all but copying the link and the dates is as the server sent it.

import { copyText } from "konstruct/dom";
import { drawTimes } from "konstruct/times";

drawTimes();

const copy = document.querySelector("[data-copy]");
if (copy) {
  const link = document.getElementById(copy.dataset.copy);
  const said = document.querySelector("[data-said]");
  const label = copy.textContent;
  let timer;
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const copied = await copyText(link.value);
    copy.textContent = said.textContent = copied ? copy.dataset.copied : copy.dataset.failed;
    if (!copied) link.select();
    clearTimeout(timer);
    timer = setTimeout(() => {
      copy.textContent = label;
      said.textContent = "";
    }, 2000);
  });
  link.addEventListener("focus", () => link.select());
  // This page is the answer to a form: a reload would send that again.
  history.replaceState(null, "", copy.dataset.here);
}
