// An invitation's secret is behind the address's `#`, which browsers send to no server: from here it is posted.

const form = document.getElementById("join");

function open() {
  const code = location.hash.slice(1);
  if (!code) return;
  // Neither the history nor a look over the shoulder keeps it.
  history.replaceState(null, "", location.pathname);
  form.elements.code.value = code;
  form.requestSubmit();
}

addEventListener("hashchange", open);
open();
