// The calls that run, and below them the latest that ended, each the newest first. A row opens to tell everything about its call.

import { $, copyButton, fill, h, text } from "./dom.js";
import { ago, clock, milliseconds, now } from "./words.js";

/** How many calls that ended stay on the page. */
const MOST = 200;

export class Calls {
  #list = $("calls");
  #rows = new Map();
  #wanted = "";
  #failedOnly = false;
  #paused = false;
  #waiting = [];

  constructor() {
    $("calls-filter").addEventListener("input", (event) => {
      this.#wanted = event.target.value.trim().toLowerCase();
      this.#filter();
    });
    $("calls-failed").addEventListener("click", (event) => {
      this.#failedOnly = pressed(event.target);
      this.#filter();
    });
    $("calls-pause").addEventListener("click", (event) => {
      this.#paused = pressed(event.target);
      event.target.textContent = this.#paused ? "Paused" : "Pause";
      if (!this.#paused) this.#waiting.splice(0).forEach((call) => this.put(call));
    });
    this.#empty();
  }

  clear() {
    this.#rows.clear();
    this.#waiting = [];
    this.#list.replaceChildren();
    this.#empty();
  }

  /** All calls that the server knows of: what runs by this page and by the server not is over. */
  all(running, recent) {
    const alive = new Set(running.map((call) => call.id));
    for (const [id, row] of this.#rows) {
      if (row.call.running && !alive.has(id)) this.#remove(id);
    }
    for (const call of [...recent].reverse()) this.put(call);
    for (const call of running) this.put(call);
  }

  put(call) {
    if (this.#paused) {
      this.#waiting.push(call);
      if (this.#waiting.length > MOST) this.#waiting.shift();
      return;
    }
    let row = this.#rows.get(call.id);
    if (row && !row.call.running && call.running) return;
    if (!row) {
      row = makeRow();
      this.#rows.set(call.id, row);
    }
    const moves = row.call?.running !== call.running;
    row.call = call;
    if (moves) this.#place(row);
    row.since = now() - call.elapsed_ms;
    draw(row);
    row.element.hidden = !this.#shows(call);
    if (this.#rows.size > MOST) this.#forget();
    this.#empty();
  }

  tick() {
    for (const row of this.#rows.values()) {
      if (row.element.hidden) continue;
      if (row.call.running) text(row.took, milliseconds(now() - row.since));
      else text(row.when, ago(Date.parse(row.call.started) + row.call.elapsed_ms));
    }
  }

  /** Puts a row where it belongs: what runs comes first, then what ended last. */
  #place(row) {
    const { call } = row;
    const began = Date.parse(call.started ?? 0);
    row.order = call.running ? began + 1e15 : began + call.elapsed_ms;
    const next = [...this.#list.children].find((other) => {
      const theirs = this.#rows.get(Number(other.dataset.id));
      return theirs && theirs !== row && theirs.order <= row.order;
    });
    // Moving keeps the focus, where the browser can.
    if (row.element.isConnected && this.#list.moveBefore) this.#list.moveBefore(row.element, next ?? null);
    else this.#list.insertBefore(row.element, next ?? null);
  }

  #forget() {
    for (const element of [...this.#list.children].reverse()) {
      const id = Number(element.dataset.id);
      const row = this.#rows.get(id);
      if (row && !row.call.running && !row.details.open) {
        this.#remove(id);
        return;
      }
    }
  }

  #remove(id) {
    this.#rows.get(id)?.element.remove();
    this.#rows.delete(id);
  }

  #shows(call) {
    if (this.#failedOnly && (call.running || call.code === 0)) return false;
    const all = `${call.tool} ${call.worker} ${call.session ?? ""} ${call.trace} ${call.code ?? ""}`.toLowerCase();
    return all.includes(this.#wanted);
  }

  #filter() {
    for (const row of this.#rows.values()) row.element.hidden = !this.#shows(row.call);
    this.#empty();
  }

  #empty() {
    const any = this.#rows.size > 0;
    this.#list.dataset.empty = any ? "" : "No call yet. Run a tool, or let an agent do so.";
    const running = [...this.#rows.values()].filter((row) => row.call.running).length;
    text($("calls-count"), any ? `${running} running, ${this.#rows.size - running} recent` : "");
  }
}

function pressed(button) {
  const now = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(now));
  return now;
}

function makeRow() {
  const part = (name) => h(`span.${name}`);
  const row = { mark: part("mark"), tool: part("tool"), worker: part("worker"), took: part("took"), code: part("code"), trace: part("trace-id"), when: part("when"), facts: h("dl.facts") };
  row.details = h("details", { ontoggle: () => facts(row) },
    h("summary.call", row.mark, row.tool, row.worker, row.took, row.code, row.trace, row.when), row.facts);
  row.element = h("li", row.details);
  return row;
}

function draw(row) {
  const { call } = row;
  row.element.dataset.id = call.id;
  const [kind, word] = call.running ? ["busy", "runs"] : call.code === 0 ? ["good", "0"] : ["bad", call.code ?? "gone"];
  row.mark.className = `mark ${kind}`;
  text(row.tool, call.tool);
  text(row.worker, call.worker);
  text(row.took, milliseconds(call.elapsed_ms));
  text(row.code, word);
  row.code.className = `code chip ${kind}`;
  text(row.trace, call.trace.slice(0, 8));
  text(row.when, call.running ? "now" : ago(Date.parse(call.started) + call.elapsed_ms));
  if (row.details.open) facts(row);
}

function facts(row) {
  if (!row.details.open) return;
  const { call } = row;
  const fact = (name, value, copy) => value && [h("dt", name), h("dd", value, copy && copyButton(() => value, `Copy the ${name.toLowerCase()}`))];
  fill(row.facts,
    fact("Message", call.message),
    fact("Trace", call.trace, true),
    fact("Session", call.session, true),
    fact("Worker", call.worker),
    fact("Key", call.key),
    fact("Came by", call.front),
    fact("Began", call.started && `${clock(call.started)} (${call.started})`),
    fact("Ended", call.running ? "" : call.code === null ? "its caller went away, which cancelled it" : `with code ${call.code}, after ${milliseconds(call.elapsed_ms)}`));
}
