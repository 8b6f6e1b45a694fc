// A password that is typed once can be looked at.

for (const button of document.querySelectorAll("[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
  // As text it must not end up among what the browser offers to fill in elsewhere.
  field.form.addEventListener("submit", () => (field.type = "password"));
}
