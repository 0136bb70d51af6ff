// Elements in few words. Text only ever becomes text: nothing here, or anywhere else in these pages, parses HTML.

/** Makes an element: `h("a.link", { href: "…" }, "text", child)`. Falsy children are left out. */
export function h(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  const first = rest[0];
  if (first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first)) {
    rest.shift();
    for (const [name, value] of Object.entries(first)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name in element && typeof value !== "string") element[name] = value;
      else if (name === "value") element.value = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
  }
  add(element, rest);
  return element;
}

/** Appends children, however deep they are in lists. */
export function add(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false && child !== "") element.append(child);
  }
  return element;
}

/** Puts these children in the place of the ones that are there. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/** The element of the page with this id. */
export const $ = (id) => document.getElementById(id);

/** Sets text only when it differs, so that nothing is laid out anew for nothing. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

/** A button that copies what `of` gives. */
export function copyButton(of, label) {
  const button = h("button.quiet.copy", { type: "button", title: label, "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(of());
      button.textContent = "Copied";
    } catch {
      // Without permission, or over plain HTTP from another machine, there is no clipboard.
      button.textContent = "No clipboard here";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}
