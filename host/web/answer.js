// The answer to a call, for people: what came of it, its pictures as pictures, its text as text, and all of it as JSON.

import { copyButton, h } from "./dom.js";
import { milliseconds } from "./words.js";

/** What base64 of a picture begins with. */
const PICTURES = [["iVBORw0KGgo", "image/png"], ["/9j/", "image/jpeg"], ["R0lGOD", "image/gif"], ["UklGR", "image/webp"]];

/** Shows what `ask` returned. */
export function answer({ status, body, text, ms }) {
  const envelope = body && typeof body === "object" && "code" in body && "data" in body;
  const code = envelope ? body.code : undefined;
  const well = envelope ? code === 0 : status < 400;
  const shown = envelope ? body.data : body;
  const { value, pictures } = parts(shown);
  return h(
    "section.answer",
    { "aria-label": "Answer", "aria-live": "polite" },
    h(
      "div.outcome",
      h(`span.chip.${well ? "good" : "bad"}`, envelope ? (code === 0 ? "code 0" : `code ${code}`) : well ? "done" : "failed"),
      h("span", `HTTP ${status}`),
      h("span", milliseconds(body?.meta?.execution_time_ms ?? ms)),
      body?.meta?.temporary_session && h("span", "temporary session"),
      body?.meta?.trace_id && h("span.trace", "trace ", h("code", body.meta.trace_id), copyButton(() => body.meta.trace_id, "Copy the trace id")),
    ),
    envelope && code !== 0 && h("p.message", body.message),
    pictures.map(picture),
    envelope && value && typeof value === "object" ? [texts(value), rest(value)] : body === undefined ? h("pre", text) : json(value),
    h("details", h("summary", "The whole answer"), json(parts(body).value)),
  );
}

/** Puts pictures apart from the rest, where each leaves a note of itself. */
function parts(value) {
  const pictures = [];
  const walk = (one, name) => {
    if (typeof one === "string") {
      const type = pictureType(one);
      if (!type) return one;
      const data = one.replace(/^data:[^,]*,/, "");
      const bytes = Math.floor((data.length * 3) / 4);
      pictures.push({ type, data, name, bytes });
      return `(${type}, ${size(bytes)})`;
    }
    if (Array.isArray(one)) return one.map((each, index) => walk(each, `${name} ${index + 1}`));
    if (one && typeof one === "object") return Object.fromEntries(Object.entries(one).map(([key, each]) => [key, walk(each, key)]));
    return one;
  };
  return { value: walk(value, "picture"), pictures };
}

function pictureType(text) {
  if (text.length < 64) return undefined;
  const inUrl = /^data:(image\/(?:png|jpeg|gif|webp));base64,/.exec(text);
  if (inUrl) return inUrl[1];
  return PICTURES.find(([start]) => text.startsWith(start) && /^[A-Za-z0-9+/=]{64}/.test(text))?.[1];
}

function picture({ type, data, name, bytes }) {
  const note = h("figcaption", `${name} · ${size(bytes)}`);
  const image = h("img", { src: `data:${type};base64,${data}`, alt: `The picture in ${name}` });
  image.addEventListener("load", () => (note.textContent = `${name} · ${image.naturalWidth} × ${image.naturalHeight} · ${size(bytes)}`));
  return h("figure", image, note);
}

const isText = (value) => typeof value === "string" && (value.includes("\n") || value.length > 100);

/** Longer texts, each by itself, as it would stand in a terminal. */
function texts(value) {
  return Object.entries(value).filter(([, each]) => isText(each)).map(([name, each]) =>
    h("div.text", h("div.text-name", h("code", name), copyButton(() => each, `Copy ${name}`)), h("pre", { tabindex: "0", role: "region", "aria-label": name }, each)));
}

function rest(value) {
  if (Array.isArray(value)) return json(value);
  const left = Object.fromEntries(Object.entries(value).filter(([, each]) => !isText(each)));
  return Object.keys(left).length ? json(left) : undefined;
}

/** JSON with its kinds of values told apart. */
export function json(value) {
  const written = JSON.stringify(value, null, 2) ?? "";
  const pre = h("pre.json", { tabindex: "0", role: "region", "aria-label": "JSON" });
  /** More than this is shown without colours: a page should not become slow over them. */
  const MOST = 200_000;
  if (written.length > MOST) return h("pre.json", { tabindex: "0", role: "region", "aria-label": "JSON" }, written);
  for (const part of written.split(/("(?:[^"\\]|\\.)*"(?:\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/)) {
    if (/^".*:$/s.test(part)) pre.append(h("span.k", part));
    else if (part.startsWith('"')) pre.append(h("span.s", part));
    else if (/^(true|false|null|-?\d)/.test(part)) pre.append(h("span.n", part));
    else pre.append(part);
  }
  return pre;
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
