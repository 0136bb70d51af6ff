// The backends: how each is, and what it is made of.

import { $, fill, h, text } from "./dom.js";
import { counted } from "./words.js";

const STATES = {
  warm: ["good", "warm"],
  warming: ["busy", "warming up"],
  failed: ["bad", "failed"],
  cold: ["plain", "cold"],
  not_loaded: ["bad", "not loaded"],
};

export class Backends {
  /** Which ones are open, by name: the list is written anew whenever it differs. */
  #open = new Set();

  show(backends) {
    text($("backends-count"), backends.length);
    fill($("backends"), backends.map((backend) => this.#row(backend)));
    $("backends").dataset.empty = backends.length ? "" : "No backend is configured.";
  }

  #row(backend) {
    const [kind, word] = STATES[backend.state] ?? ["plain", backend.state];
    const fact = (name, value) => value && [h("dt", name), h("dd", value)];
    const limit = backend.max_sessions ? ` of at most ${backend.max_sessions}` : "";
    const details = h(
      "details",
      { open: this.#open.has(backend.name) },
      h(
        "summary.backend",
        h(`span.mark.${kind}`),
        h("span.tool", backend.name),
        h("span.soft", [backend.kind, backend.version && `v${backend.version}`].filter(Boolean).join(" · ")),
        h(`span.chip.${kind}`, word),
      ),
      h("dl.facts",
        fact("About", backend.description),
        fact("Last error", backend.last_error),
        fact("Tools", backend.tools && String(backend.tools)),
        fact("Sessions", backend.kind && `${backend.sessions}${limit}`),
        fact("ABI", backend.abi),
        fact("Library", backend.library)),
    );
    details.addEventListener("toggle", () => (details.open ? this.#open.add(backend.name) : this.#open.delete(backend.name)));
    const error = backend.last_error && backend.state !== "warm" && h("p.error", backend.last_error);
    return h("li", { "aria-label": `${backend.name}, ${word}, ${counted(backend.sessions, "session")}` }, details, error);
  }
}
