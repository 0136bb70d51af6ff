// A form made from a JSON Schema, and the value that was filled in.
//
// Every field is one of a few kinds, and what fits none of them is written as JSON. A field that is left empty is
// left out. The whole value can be edited as JSON at any time: the form then is only its other view.

import { add, h } from "./dom.js";
import { choices, inWords, paragraphs, resolve, typeOf } from "./schema.js";

let count = 0;

/** A form for the object that `schema` describes: `element`, `value()`, `set(value)`. */
export function form(schema, document, preset) {
  const inner = object(resolve(schema, document), document, preset ?? {});
  const area = h("textarea.json", { spellcheck: "false", rows: "8", "aria-label": "Parameters as JSON" });
  const fault = h("p.fault", { role: "alert" });
  const plain = h("div.as-form", inner.element);
  const raw = h("div.as-json", { hidden: true }, area, fault);
  const toggle = h("button.quiet", { type: "button", "aria-pressed": "false" }, "Edit as JSON");
  let asJson = false;
  const show = (json) => {
    asJson = json;
    plain.hidden = json;
    raw.hidden = !json;
    toggle.textContent = json ? "Edit as form" : "Edit as JSON";
    toggle.setAttribute("aria-pressed", String(json));
  };
  const parsed = () => {
    fault.textContent = "";
    try {
      return JSON.parse(area.value.trim() || "{}");
    } catch (error) {
      fault.textContent = `Not JSON: ${error.message}`;
      area.focus();
      throw error;
    }
  };
  toggle.addEventListener("click", () => {
    if (asJson) {
      try {
        inner.set(parsed());
      } catch {
        return;
      }
    } else area.value = JSON.stringify(inner.value(), null, 2);
    show(!asJson);
  });
  return {
    element: h("div.form", plain, raw, h("div.below", toggle)),
    value: () => (asJson ? parsed() : inner.value()),
    set(value) {
      inner.set(value);
      area.value = JSON.stringify(value, null, 2);
    },
  };
}

/** The fields of an object, without the other view. */
export function object(schema, document, preset) {
  const element = h("div.object");
  const parts = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const required = schema.required?.includes(name) ?? false;
    const part = labelled(name, field, document, preset[name], required);
    element.append(part.element);
    return [name, part];
  });
  if (!parts.length) {
    if (schema.additionalProperties === false || !schema.additionalProperties) element.append(h("p.hint", "It takes no parameters."));
    else {
      const part = labelled("value", schema, document, preset, false, json);
      element.append(part.element);
      return { element, value: () => part.value() ?? {}, set: part.set };
    }
  }
  return {
    element,
    value: () => Object.fromEntries(parts.map(([name, part]) => [name, part.value()]).filter(([, value]) => value !== undefined)),
    set: (value) => parts.forEach(([name, part]) => part.set(value?.[name])),
  };
}

/** A field with its name, what it is for, and what it allows. */
function labelled(name, field, document, preset, required, make) {
  const schema = resolve(field, document);
  const id = `field-${(count += 1)}`;
  const part = (make ?? kind(schema))(schema, document, preset ?? (required ? schema.default : undefined), { id, required, name });
  const says = field.description ?? schema.description;
  const hint = h("div.hint", { id: `${id}-hint` }, paragraphs(says));
  const type = h("span.type", inWords(schema, document), required ? "" : " · optional");
  if (part.group) {
    const group = h("fieldset", h("legend", h("code.name", name), type), says && hint, part.element);
    return { ...part, element: group };
  }
  if (says) part.control.setAttribute("aria-describedby", hint.id);
  const row = part.inline
    ? h("div.field.inline", part.element, h("label", { for: id }, h("code.name", name), type), says && hint)
    : h("div.field", h("label", { for: id }, h("code.name", name), type), part.element, says && hint);
  return { ...part, element: row };
}

function kind(schema) {
  if (choices(schema)) return select;
  const type = typeOf(schema);
  if (type === "boolean") return schema.default === undefined || schema.default === null ? tristate : checkbox;
  if (type === "integer" || type === "number") return number;
  if (type === "string") return text;
  if (type === "object" && schema.properties) return group;
  if (type === "array" && ["string", "integer", "number"].includes(typeOf(schema.items ?? {}))) return lines;
  return json;
}

function text(schema, _document, preset, { id, required }) {
  const short = schema.format || schema.pattern || (schema.maxLength ?? Infinity) <= 64;
  const control = h(short ? "input" : "textarea", {
    id, required, spellcheck: "false", autocomplete: "off", ...(short ? { type: "text" } : { rows: "1" }),
    placeholder: typeof schema.default === "string" ? schema.default : undefined,
  });
  control.value = preset ?? "";
  return {
    element: control,
    control,
    value: () => (control.value === "" && !required ? undefined : control.value),
    set: (value) => (control.value = value ?? ""),
  };
}

function number(schema, _document, preset, { id, required }) {
  const control = h("input", {
    id, required, type: "number", autocomplete: "off",
    min: schema.minimum?.toString(), max: schema.maximum?.toString(),
    step: typeOf(schema) === "integer" ? "1" : "any",
    placeholder: typeof schema.default === "number" ? String(schema.default) : undefined,
  });
  control.value = preset ?? "";
  return {
    element: control,
    control,
    value: () => (control.value === "" ? undefined : Number(control.value)),
    set: (value) => (control.value = value ?? ""),
  };
}

function checkbox(schema, _document, preset, { id }) {
  const control = h("input", { id, type: "checkbox" });
  control.checked = preset ?? schema.default;
  return {
    inline: true,
    element: control,
    control,
    value: () => (control.checked === schema.default ? undefined : control.checked),
    set: (value) => (control.checked = value ?? schema.default),
  };
}

function tristate(_schema, _document, preset, place) {
  const schema = { enum: [true, false] };
  return select(schema, undefined, preset, place);
}

function select(schema, _document, preset, { id, required }) {
  const each = choices(schema);
  const control = h(
    "select",
    { id, required },
    !required && h("option", { value: "" }, schema.default === undefined || schema.default === null ? "not given" : `default: ${schema.default}`),
    each.map(({ value, says }, index) => h("option", { value: String(index) }, says ? `${value}: ${says}` : String(value))),
  );
  const set = (value) => {
    const index = each.findIndex((choice) => choice.value === value);
    control.value = index < 0 ? (required ? "0" : "") : String(index);
  };
  set(preset);
  return { element: control, control, set, value: () => each[control.value === "" ? -1 : Number(control.value)]?.value };
}

function group(schema, document, preset, { required }) {
  const inner = object(schema, document, preset ?? {});
  const value = () => {
    const filled = inner.value();
    return !required && Object.keys(filled).length === 0 ? undefined : filled;
  };
  return { group: true, element: inner.element, value, set: inner.set };
}

/** A list of simple values, one in a line. */
function lines(schema, _document, preset, { id, required }) {
  const numeric = typeOf(schema.items) !== "string";
  const control = h("textarea", { id, required, rows: "2", spellcheck: "false", placeholder: "one in a line" });
  const set = (value) => (control.value = (value ?? []).join("\n"));
  set(preset);
  const value = () => {
    if (control.value === "") return required ? [] : undefined;
    const each = control.value.replace(/\n$/, "").split("\n");
    return numeric ? each.map(Number) : each;
  };
  return { element: control, control, set, value };
}

/** Anything else, as JSON. */
function json(_schema, _document, preset, { id, required }) {
  const control = h("textarea.json", { id, required, rows: "2", spellcheck: "false", placeholder: "JSON" });
  const set = (value) => (control.value = value === undefined ? "" : JSON.stringify(value, null, 1));
  const check = () => {
    try {
      if (control.value.trim()) JSON.parse(control.value);
      control.setCustomValidity("");
    } catch (error) {
      control.setCustomValidity(`Not JSON: ${error.message}`);
    }
  };
  control.addEventListener("input", check);
  set(preset);
  return {
    element: control,
    control,
    set: (value) => { set(value); check(); },
    value: () => (control.value.trim() ? JSON.parse(control.value) : undefined),
  };
}

/** Buttons that fill a form with the examples of its schema. */
export function examples(schema, document, made) {
  const given = resolve(schema, document).examples ?? [];
  if (given.length < 2) return undefined;
  const button = (example, index) =>
    h("button.quiet", { type: "button", onclick: () => made.set(example), title: JSON.stringify(example) }, `Example ${index + 1}`);
  return add(h("div.examples"), given.map(button));
}
