// The server in numbers, and its last minute as a line.

import { fill, h, text } from "./dom.js";
import { counted, now, span } from "./words.js";

/** How many seconds the line shows. */
const SECONDS = 60;

export class Numbers {
  #tiles = {};
  #seen = [];
  #server;
  #upSince;
  #bars;

  constructor(element) {
    const tile = (name, label, ...more) => {
      const value = h("span.value", "–");
      const note = h("span.note");
      this.#tiles[name] = { value, note };
      return h("div.tile", h("span.label", label), value, note, more);
    };
    this.#bars = svg("path", { class: "line" });
    const line = svg("svg", { viewBox: `0 0 ${SECONDS} 24`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" }, this.#bars);
    fill(
      element,
      tile("rate", "Calls a second", line),
      tile("running", "Running"),
      tile("failed", "Failed"),
      tile("sessions", "Sessions"),
      tile("backends", "Backends"),
      tile("up", "Server"),
    );
  }

  hello(event) {
    this.#upSince = event.up_since;
    this.#seen = [];
    this.#set("up", "", `version ${event.version}`);
    this.#tiles.up.value.title = `since ${event.up_since}`;
  }

  server(server) {
    this.#server = server;
    this.#set("running", server.started - server.ended, `${server.ended.toLocaleString("en")} ended`);
    this.#set("sessions", server.sessions, counted(server.workers, "worker"));
    this.#tiles.up.readiness = server.readiness;
    this.#tiles.up.value.className = `value ${server.readiness === "ready" ? "" : "worry"}`;
  }

  backends(backends) {
    const warm = backends.filter((backend) => backend.state === "warm").length;
    const failed = backends.filter((backend) => backend.state === "failed" || backend.state === "not_loaded").length;
    this.#set("backends", `${warm}/${backends.length}`, failed ? `${failed} not well` : "warm");
    this.#tiles.backends.value.className = `value ${failed ? "worry" : ""}`;
  }

  /** Once a second: what came since the last time. */
  tick() {
    if (!this.#server) return;
    const { ended, failed } = this.#server;
    this.#seen.push({ ended, failed });
    if (this.#seen.length > SECONDS + 1) this.#seen.shift();
    const first = this.#seen[0];
    const recent = this.#seen.at(-6) ?? first;
    const length = Math.min(5, this.#seen.length - 1) || 1;
    const rate = (ended - recent.ended) / length;
    this.#set("rate", rate >= 10 ? Math.round(rate).toLocaleString("en") : rate.toFixed(1), "last 5 s");
    const lately = failed - first.failed;
    const watched = this.#seen.length > SECONDS ? "minute" : span((this.#seen.length - 1) * 1000);
    this.#set("failed", failed.toLocaleString("en"), `${lately || "none"} in the last ${watched}`);
    this.#tiles.failed.value.className = `value ${lately ? "worry" : ""}`;
    text(this.#tiles.up.value, `${this.#tiles.up.readiness === "ready" ? "up" : this.#tiles.up.readiness} ${span(now() - Date.parse(this.#upSince))}`);
    this.#draw();
  }

  #draw() {
    const steps = this.#seen.slice(1).map((one, index) => one.ended - this.#seen[index].ended);
    const most = Math.max(1, ...steps);
    const start = SECONDS - steps.length;
    const points = steps.map((step, index) => `${start + index},${(23 - (step / most) * 21).toFixed(1)}`);
    this.#bars.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
  }

  #set(name, value, note) {
    if (value !== "") text(this.#tiles[name].value, value);
    text(this.#tiles[name].note, note);
  }
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
