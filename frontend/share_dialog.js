// The dialog in which a conversation is shared within the workspace, and links to it are ended.

import { api } from "konstruct/http";
import { copyText, el } from "konstruct/dom";
import { fullTime, shortTime, t } from "konstruct/page";

export function startSharing(conversation) {
  const path = `/conversations/${conversation.id}/shares`;
  const dialog = document.getElementById("share-dialog");
  const list = dialog.querySelector(".share-list");
  const problem = dialog.querySelector(".field-error");
  const fresh = dialog.querySelector(".share-url");
  const [url] = fresh.getElementsByTagName("input");
  const copy = fresh.querySelector("button");
  const make = dialog.querySelector("[data-make]");

  /** Do it; what goes wrong is said in the dialog. */
  async function attempt(act) {
    problem.hidden = true;
    try {
      return await act();
    } catch (error) {
      problem.textContent = error.status === 422 ? error.message : t("share_failed");
      problem.hidden = false;
    }
  }

  function line(share) {
    const when = el("time", { datetime: share.created_at, title: fullTime(share.created_at) }, shortTime(share.created_at));
    const open = el("a", { href: share.url }, t("shared_at"), " ", when);
    const end = el("button", { type: "button", class: "link" }, t("share_end"));
    const item = el("li", {}, open, end);
    end.addEventListener("click", () =>
      attempt(async () => {
        await api("DELETE", `/shares/${share.id}`);
        item.remove();
        if (url.value.endsWith(share.url)) fresh.hidden = true;
        make.focus();
      }),
    );
    return item;
  }

  document.getElementById("share").addEventListener("click", (event) => {
    event.target.closest("details").open = false;
    fresh.hidden = true;
    list.replaceChildren();
    dialog.showModal();
    attempt(async () => list.replaceChildren(...(await api("GET", `${path}?size=100`)).items.map(line)));
  });
  make.addEventListener("click", () =>
    attempt(async () => {
      const share = await api("POST", path);
      list.prepend(line(share));
      url.value = new URL(share.url, location.origin).href;
      copy.textContent = t("copy");
      fresh.hidden = false;
      url.focus();
      url.select();
    }),
  );
  copy.addEventListener("click", async () => {
    copy.textContent = (await copyText(url.value)) ? t("copied") : t("not_copied");
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
}
