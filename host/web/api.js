// Talks to the server that these pages come from, and to nobody else.

/** The server's root, whatever proxy stands before it. */
export const root = new URL("..", import.meta.url);

const KEY = "sandbox.key";

/** The key that is shown to the server: kept for this tab, until it is closed. */
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    window.dispatchEvent(new CustomEvent("key-changed"));
  },
};

/** Sends a request below the root with the key, and asks for another key where that one is refused. */
async function send(path, { headers, ...more }) {
  const shown = key.get();
  const response = await fetch(new URL(path.replace(/^\//, ""), root), {
    ...more,
    headers: shown ? { ...headers, Authorization: `Bearer ${shown}` } : headers,
    cache: "no-store",
    credentials: "omit",
  });
  // Several are refused at once: one that hears of it late must not ask for the key that was given meanwhile.
  if (response.status === 401 && key.get() === shown) window.dispatchEvent(new CustomEvent("key-needed"));
  return response;
}

/** Asks for a path below the root; `body` is sent as JSON, text as it is. */
export async function ask(path, { method, body, headers: more, signal } = {}) {
  const started = performance.now();
  const sent = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const response = await send(path, {
    method: method ?? (sent === undefined ? "GET" : "POST"),
    body: sent,
    signal,
    headers: sent === undefined ? more : { "Content-Type": "application/json", ...more },
  });
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  return { status: response.status, ok: response.ok, body: answer, text, ms: performance.now() - started };
}

/** The answer's body, or an error with what the server said. */
export async function get(path) {
  const answer = await ask(path);
  if (answer.ok && answer.body) return answer.body;
  throw new Error(answer.body?.message ?? `the server answered ${answer.status}`);
}

/**
 * Reads a stream of events until it ends; each goes to `hear` as its parsed data.
 * `EventSource` could not show a key, so the stream is read by hand.
 */
export async function listen(path, hear, signal) {
  const response = await send(path, { headers: { Accept: "text/event-stream" }, signal });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw Object.assign(new Error(answer.message ?? `the server answered ${response.status}`), { status: response.status });
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:"));
      if (data.length) hear(JSON.parse(data.map((line) => line.slice(5).trimStart()).join("\n")));
    }
  }
}

/** The command that does the same from a terminal; the key stays out of it. */
export function curl(path, { method = "POST", body, headers: more = {} } = {}) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [`curl -s ${quoted(new URL(path.replace(/^\//, ""), root).href)}`];
  if (method !== "GET" && body === undefined) lines[0] += ` -X ${method}`;
  if (key.get()) lines.push('-H "Authorization: Bearer $SANDBOX_API_KEY"');
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'");
  for (const [name, value] of Object.entries(more)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`-d ${quoted(typeof body === "string" ? body : JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}
