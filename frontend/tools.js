// The small buttons under a message, the stepper between its versions, and the forms they open.

import { copyText, el, icon } from "konstruct/dom";
import { whyTooLong } from "konstruct/limits";
import { t } from "konstruct/page";

/**
 * A button with an icon and a name. One that cannot be used now keeps the focus and says why when it is
 * pressed, which the attribute `disabled` would prevent.
 */
export class Tool {
  #onRefused;
  #why = null;

  /** @param {string} id  what `focusOf` finds it by, in whichever version of the message */
  constructor(id, iconName, label, { press, refused = () => {} }) {
    this.#onRefused = refused;
    this.element = el(
      "button",
      { type: "button", class: "tool", "data-tool": id, onclick: () => (this.#why ? this.#onRefused(this.#why) : press()) },
      icon(iconName),
    );
    this.label = label;
  }

  set label(label) {
    this.element.setAttribute("aria-label", label);
    this.element.title = label;
  }

  set icon(name) {
    this.element.replaceChildren(icon(name));
  }

  set hidden(hidden) {
    this.element.hidden = hidden;
  }

  set pressed(pressed) {
    this.element.setAttribute("aria-pressed", String(pressed));
  }

  /** Why it cannot be used now; null: it can. */
  set disabled(why) {
    this.#why = why;
    if (why) this.element.setAttribute("aria-disabled", "true");
    else this.element.removeAttribute("aria-disabled");
  }
}

/** Copies on a press, and shows on the button how it went. */
export function copyTool(getText, announce) {
  let timer;
  const tool = new Tool("copy", "copy", t("copy"), {
    press: async () => {
      const copied = await copyText(getText());
      tool.label = copied ? t("copied") : t("not_copied");
      if (copied) tool.icon = "done";
      announce(copied ? t("copied") : t("not_copied"));
      clearTimeout(timer);
      timer = setTimeout(() => {
        tool.label = t("copy");
        tool.icon = "copy";
      }, 1500);
    },
  });
  return tool;
}

/** ‹ 2 / 3 › */
export class Stepper {
  #count = el("span", { "aria-hidden": "true" });
  #previous;
  #next;

  /** @param {object} on  step(by), refused(sentence) */
  constructor({ step, refused }) {
    // At either end there is nothing to say.
    const said = (why) => why !== true && refused(why);
    this.#previous = new Tool("previous", "previous", t("version_previous"), { press: () => step(-1), refused: said });
    this.#next = new Tool("next", "next", t("version_next"), { press: () => step(1), refused: said });
    this.element = el(
      "div", { class: "versions", role: "group", hidden: true }, this.#previous.element, this.#count, this.#next.element,
    );
  }

  draw({ ids, index }, why) {
    const count = ids.length;
    this.element.hidden = count < 2;
    if (count < 2) return;
    this.element.setAttribute("aria-label", t("version", { number: index + 1, count }));
    this.#count.textContent = `${index + 1} / ${count}`;
    this.#previous.disabled = why ?? (index <= 0 ? true : null);
    this.#next.disabled = why ?? (index >= count - 1 ? true : null);
  }
}

function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

/** The form in which a message is said differently. Enter saves, Shift+Enter makes a line, Escape cancels. */
export class EditForm {
  #text;
  #problem = el("p", { class: "edit-problem", role: "status" });

  /** @param {object} on  save(text) -> a sentence if it could not be sent, cancel(), draft(text) */
  constructor(text, on, saveLabel = t("edit_save")) {
    this.#text = el("textarea", { "aria-label": t("edit_label"), rows: 1, enterkeyhint: "send", autocomplete: "off" });
    this.#text.value = text;
    const cancel = el("button", { type: "button", class: "button", onclick: on.cancel }, t("cancel"));
    const save = el("button", { class: "button is-main" }, saveLabel);
    this.element = el("form", { class: "edit" }, this.#text, this.#problem, el("div", { class: "actions" }, cancel, save));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = this.#text.value.trim();
      if (wanted) this.say(whyTooLong(wanted) ?? on.save(wanted) ?? "");
    });
    this.#text.addEventListener("input", () => {
      fit(this.#text);
      this.say("");
      on.draft(this.#text.value);
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        // It would stop a running answer as well.
        event.stopPropagation();
        on.cancel();
      } else if (event.key === "Enter" && !event.shiftKey && event.target === this.#text) {
        event.preventDefault();
        this.element.requestSubmit();
      }
    });
  }

  say(sentence) {
    this.#problem.textContent = sentence;
  }

  /** Once it is in the page. */
  open({ focus }) {
    fit(this.#text);
    if (!focus) return;
    this.#text.focus({ preventScroll: true });
    this.#text.setSelectionRange(this.#text.value.length, this.#text.value.length);
    this.element.scrollIntoView({ block: "nearest" });
  }
}

/** What was wrong with the answer, for those who want to say it. */
export class CommentForm {
  #problem = el("p", { class: "edit-problem", role: "status" });

  /** @param {object} on  send(text) -> a promise, close() */
  constructor(on) {
    const text = el("textarea", {
      "aria-label": t("feedback_label"), placeholder: t("feedback_label"), rows: 2, maxlength: 4000, autocomplete: "off",
    });
    const skip = el("button", { type: "button", class: "button", onclick: on.close }, t("feedback_skip"));
    const send = el("button", { class: "button is-main" }, t("feedback_send"));
    this.element = el("form", { class: "comment" }, text, this.#problem, el("div", { class: "actions" }, skip, send));
    this.element.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!text.value.trim()) return on.close();
      send.disabled = true;
      try {
        await on.send(text.value.trim());
        on.close();
      } catch (error) {
        this.#problem.textContent = error?.message ?? t("not_connected");
        send.disabled = false;
      }
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      on.close();
    });
    this.open = () => {
      text.focus({ preventScroll: true });
      this.element.scrollIntoView({ block: "nearest" });
    };
  }
}
