// The console: one stream of events, and a part of the page for each thing that it tells of.

import { get, listen } from "./api.js";
import { Backends } from "./backends.js";
import { Calls } from "./calls.js";
import { $, fill, h, text } from "./dom.js";
import { frame } from "./frame.js";
import { Log } from "./log.js";
import { Numbers } from "./numbers.js";
import { runner } from "./runner.js";
import { paragraphs } from "./schema.js";
import { Sessions } from "./sessions.js";
import { setClock } from "./words.js";

const parts = {
  numbers: new Numbers($("numbers")),
  calls: new Calls(),
  backends: new Backends(),
  sessions: new Sessions(),
  log: new Log(),
};

/** What becomes of each type of event. */
const HEARD = {
  hello(event) {
    setClock(event.now);
    text($("title"), event.title);
    parts.numbers.hello(event);
    parts.log.visible(event.operator);
    parts.sessions.hello(event);
    parts.calls.clear();
    parts.log.clear();
  },
  server: (event) => parts.numbers.server(event.server),
  backends: (event) => {
    parts.backends.show(event.backends);
    parts.numbers.backends(event.backends);
  },
  sessions: (event) => parts.sessions.show(event.sessions),
  calls: (event) => parts.calls.all(event.running, event.recent),
  call_started: (event) => parts.calls.put(event),
  call_ended: (event) => parts.calls.put(event),
  log_tail: (event) => event.lines.forEach((line) => parts.log.put(line)),
  log: (event) => parts.log.put(event),
};

let current;

/** Reads the stream, again and again, until the page goes. */
async function follow() {
  current?.abort();
  const mine = (current = new AbortController());
  let pause = 500;
  while (!mine.signal.aborted) {
    try {
      linked("connecting", "busy");
      await listen("api/v1/events", (event) => {
        pause = 500;
        linked("live", "good");
        HEARD[event.type]?.(event);
      }, mine.signal);
      linked("the server stopped", "bad");
    } catch (error) {
      if (mine.signal.aborted) return;
      linked(error.status === 401 ? "no key" : "no connection", "bad");
      // A key has to be typed first: that begins anew.
      if (error.status === 401) return;
    }
    await new Promise((after) => setTimeout(after, pause));
    pause = Math.min(pause * 2, 8000);
  }
}

function linked(words, kind) {
  const link = $("link");
  text(link, words);
  link.className = `chip ${kind}`;
}

/** The form that calls any tool; the address says which. */
let tools;

async function loadTools() {
  try {
    tools = await get("openapi/tools.json");
  } catch (error) {
    fill($("run"), h("p.fault", { role: "alert" }, error.message));
    return;
  }
  const every = Object.entries(tools.paths);
  const groups = (tools.tags ?? []).map((tag) => {
    const inside = every.filter(([, { post }]) => post.tags[0] === tag.name);
    return h("optgroup", { label: tag.name }, inside.map(([path, { post }]) => h("option", { value: path }, post["x-tool"])));
  });
  fill($("run-tool"), h("option", { value: "" }, "Choose a tool …"), groups);
  const wanted = decodeURIComponent(location.hash.slice(1));
  const found = every.find(([, { post }]) => post["x-tool"] === wanted);
  choose(found?.[0] ?? "");
}

function choose(path) {
  $("run-tool").value = path;
  const operation = tools.paths[path]?.post;
  if (!operation) {
    fill($("run"), h("p.hint", "The form is made from the tool's schema. The call appears above, as every other does."));
    return;
  }
  fill($("run"), h("div.hint", paragraphs(operation.description)), runner({ path, method: "post", operation, document: tools }));
}

frame();
$("run-tool").addEventListener("change", () => {
  choose($("run-tool").value);
  history.replaceState(null, "", `#${tools.paths[$("run-tool").value]?.post["x-tool"] ?? ""}`);
});
window.addEventListener("key-changed", () => {
  follow();
  loadTools();
});
// What grows older is written anew once a second, and only where somebody can see it.
setInterval(() => {
  if (document.hidden) return;
  parts.numbers.tick();
  parts.calls.tick();
  parts.sessions.tick();
}, 1000);
follow();
loadTools();
