// The end of the log. It follows what is new as long as it is scrolled to its end.

import { $, h } from "./dom.js";
import { clock } from "./words.js";

const LEVELS = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
const KINDS = { ERROR: "bad", WARN: "warn", INFO: "plain", DEBUG: "plain", TRACE: "plain" };

/** How many lines stay on the page. */
const MOST = 500;

export class Log {
  #list = $("log");
  #level = $("log-level");

  constructor() {
    this.#level.addEventListener("change", () => {
      for (const line of this.#list.children) line.hidden = !this.#shows(line.dataset.level);
      this.#list.scrollTop = this.#list.scrollHeight;
    });
    this.#list.dataset.empty = "Nothing yet.";
  }

  visible(operator) {
    this.#list.closest(".log").hidden = !operator;
  }

  clear() {
    this.#list.replaceChildren();
    this.#list.dataset.empty = "Nothing yet.";
  }

  put(line) {
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 30;
    this.#list.dataset.empty = "";
    this.#list.append(
      h("li", { "data-level": line.level, hidden: !this.#shows(line.level) },
        h("time", { datetime: line.at, title: line.at }, clock(line.at)),
        h(`span.level.${KINDS[line.level]}`, line.level),
        h("span.said", line.text),
        h("span.target", line.target)),
    );
    while (this.#list.children.length > MOST) this.#list.firstElementChild.remove();
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #shows(level) {
    return LEVELS.indexOf(level) <= Number(this.#level.value);
  }
}
