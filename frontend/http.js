// The HTTP API of the signed-in session.

/** The API refused, or could not be reached (status 0). `message` is a sentence for a person. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function csrfToken() {
  // Read each time: another tab that signs in changes it.
  return /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

/**
 * Ask the API; resolves with the parsed body, or null for none. Rejects with ApiError.
 * @param {object} [with]  body: sent as JSON; or form: a FormData; signal: to abort
 */
export async function api(method, path, { body, form, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response, text;
  try {
    response = await fetch(`/api${path}`, { method, headers, signal, body: form ?? JSON.stringify(body) });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", String(error));
  }
  let parsed = null;
  try {
    if (text) parsed = JSON.parse(text);
  } catch {
    // A proxy in between answers with a page of its own.
    throw new ApiError(response.status, "internal", response.statusText);
  }
  if (response.ok) return parsed;
  throw new ApiError(response.status, parsed?.error?.code ?? "internal", parsed?.error?.message ?? response.statusText);
}

/** Go and sign in, and come back here. */
export function goSignIn() {
  location.assign(`/sign-in/?next=${encodeURIComponent(location.pathname)}`);
}
