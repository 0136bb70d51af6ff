// The sessions: whose they are, how long they still live, and a button that ends each.

import { ask } from "./api.js";
import { $, h, text } from "./dom.js";
import { counted, now, span } from "./words.js";

export class Sessions {
  #list = $("sessions");
  #rows = new Map();
  #key;

  hello(event) {
    this.#key = event.key;
  }

  show(sessions) {
    const there = new Set(sessions.map((session) => session.id));
    for (const [id, row] of this.#rows) {
      if (there.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    let before = this.#list.firstElementChild;
    for (const session of sessions) {
      let row = this.#rows.get(session.id);
      if (!row) {
        row = this.#row(session);
        this.#rows.set(session.id, row);
      }
      row.session = session;
      if (row.element === before) before = before.nextElementSibling;
      else this.#list.insertBefore(row.element, before);
      this.#draw(row);
    }
    text($("sessions-count"), sessions.length || "");
    this.#list.dataset.empty = sessions.length ? "" : "No session. A call without one gets its own for a moment.";
  }

  tick() {
    for (const row of this.#rows.values()) this.#draw(row);
  }

  #row(session) {
    const row = { worker: h("span.tool", session.worker), inside: h("span.chip"), facts: h("span.soft"), left: h("span.soft.left"), bar: h("span.bar-left"), fault: h("p.error", { hidden: true, role: "alert" }) };
    row.kill = h("button.danger", { type: "button", "aria-label": `Kill the ${session.backend} session of ${session.worker}` }, "Kill");
    row.kill.addEventListener("click", () => kill(row));
    row.element = h("li.session", { title: session.id },
      h("span.chip.busy", session.backend), row.worker,
      session.key && session.key !== this.#key && h("span.soft.owner", `key ${session.key}`),
      row.inside, row.kill,
      h("span.life", row.facts, row.left), h("span.track", row.bar), row.fault);
    return row;
  }

  #draw(row) {
    const { session } = row;
    const at = now();
    const left = Date.parse(session.expires_at) - at;
    const idle = session.in_flight ? "busy" : `idle ${span(at - Date.parse(session.last_activity))}`;
    text(row.facts, `age ${span(at - Date.parse(session.created_at))} · ${idle}`);
    text(row.left, `TTL ${span(session.ttl * 1000)}${session.in_flight ? "" : ` · ${span(left)} left`}`);
    row.bar.style.width = `${session.in_flight ? 100 : Math.max(0, Math.min(100, left / session.ttl / 10))}%`;
    const unwell = session.status !== "active";
    text(row.inside, unwell ? session.status : counted(session.in_flight, "call"));
    row.inside.className = `chip ${unwell ? "bad" : session.in_flight ? "good" : ""}`;
    row.inside.hidden = !unwell && !session.in_flight;
  }
}

async function kill(row) {
  row.kill.disabled = true;
  text(row.kill, "Killing");
  try {
    const answer = await ask("api/v1/session/kill", { body: { session_id: row.session.id } });
    // What is gone meanwhile is what was wanted.
    if (!answer.ok && answer.status !== 404) throw new Error(answer.body?.message ?? `the server answered ${answer.status}`);
  } catch (error) {
    row.fault.hidden = false;
    text(row.fault, error.message);
    row.kill.disabled = false;
    text(row.kill, "Kill");
  }
}
