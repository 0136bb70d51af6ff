// What every page has round it: light or dark, and the key.

import { $, h } from "./dom.js";
import { key } from "./api.js";

const THEME = "sandbox.theme";
const THEMES = { auto: "Auto", light: "Light", dark: "Dark" };

/** Sets the page up; called once, by each page. */
export function frame() {
  theme();
  keys();
}

function theme() {
  const button = $("theme");
  const show = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = THEMES[name];
    button.setAttribute("aria-label", `Colours: ${THEMES[name]}. Change`);
  };
  const stored = localStorage.getItem(THEME);
  let now = stored in THEMES ? stored : "auto";
  show(now);
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    now = names[(names.indexOf(now) + 1) % names.length];
    localStorage.setItem(THEME, now);
    show(now);
  });
}

function keys() {
  const button = $("key");
  const field = h("input", { type: "password", id: "key-field", autocomplete: "off", spellcheck: "false" });
  const why = h("p.hint");
  const dialog = h(
    "dialog.key",
    { "aria-labelledby": "key-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, "API key"),
      why,
      h("label", { for: "key-field" }, "Key"),
      field,
      h("p.hint", "It stays in this tab until the tab is closed, and is sent to this server only."),
      h(
        "div.buttons",
        h("button", { type: "submit", class: "primary" }, "Use this key"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "button", class: "quiet", onclick: () => { field.value = ""; use(); } }, "Forget the key"),
      ),
    ),
  );
  document.body.append(dialog);
  const use = () => {
    dialog.close();
    key.set(field.value.trim());
  };
  const mark = () => {
    button.textContent = key.get() ? "Key set" : "Key";
  };
  const open = (reason) => {
    if (dialog.open) return;
    why.textContent = reason;
    field.value = key.get();
    dialog.showModal();
    field.select();
  };
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    use();
  });
  button.addEventListener("click", () => open("Servers with keys show nothing without one."));
  window.addEventListener("key-changed", mark);
  window.addEventListener("key-needed", () =>
    open(key.get() ? "The server does not know this key." : "This server asks for a key."));
  mark();
}
