// JSON Schemas as far as these pages need them: following references, and saying in words what one allows.

import { h } from "./dom.js";

/** Follows references, and looks through the wrappers that only say "or null". */
export function resolve(schema, document) {
  let found = schema;
  for (let steps = 0; steps < 16; steps += 1) {
    if (typeof found !== "object" || found === null) return {};
    if (typeof found.$ref === "string" && found.$ref.startsWith("#")) {
      const { $ref, ...beside } = found;
      found = { ...at(document, $ref.slice(1)), ...beside };
      continue;
    }
    const choices = found.anyOf ?? found.oneOf;
    const real = choices?.filter((choice) => choice?.type !== "null");
    if (real?.length === 1) {
      const { anyOf, oneOf, ...beside } = found;
      found = { ...resolve(real[0], document), ...beside };
      continue;
    }
    return found;
  }
  return {};
}

function at(document, pointer) {
  const keys = pointer.split("/").slice(1).map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"));
  return keys.reduce((value, key) => value?.[key], document) ?? {};
}

/** The one type of a schema beside null; nothing when there are several, or none is said. */
export function typeOf(schema) {
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  if (types.length === 1) return types[0];
  if (!types.length && schema.properties) return "object";
  return undefined;
}

/** The fixed choices of a schema, with what each means; nothing when it has none. */
export function choices(schema) {
  if (schema.enum) return schema.enum.filter((value) => value !== null).map((value) => ({ value }));
  const each = (schema.oneOf ?? schema.anyOf)?.filter((choice) => choice.type !== "null");
  if (each?.length && each.every((choice) => "const" in choice || choice.enum?.length === 1))
    return each.map((choice) => ({ value: choice.const ?? choice.enum[0], says: choice.description }));
  return undefined;
}

/** What a schema allows, in a few words. */
export function inWords(schema, document) {
  const found = resolve(schema, document);
  const fixed = choices(found);
  if (fixed) return fixed.map((choice) => JSON.stringify(choice.value)).join(" | ");
  if ("const" in found) return JSON.stringify(found.const);
  const type = typeOf(found);
  if (type === "array") return `list of ${inWords(found.items ?? {}, document)}`;
  const several = found.anyOf ?? found.oneOf;
  if (several) return several.map((one) => inWords(one, document)).join(" or ");
  const words = [type ?? [found.type ?? "anything"].flat().join(" or ")];
  if (found.format && !["double", "int32", "int64", "uint", "uint32", "uint64"].includes(found.format)) words.push(`(${found.format})`);
  const [low, high] = [found.minimum ?? found.minLength ?? found.minItems, found.maximum ?? found.maxLength ?? found.maxItems];
  if (low !== undefined && high !== undefined) words.push(`${low}–${high}`);
  else if (low !== undefined && low !== 0) words.push(`≥ ${low}`);
  else if (high !== undefined) words.push(`≤ ${high}`);
  if (found.exclusiveMinimum !== undefined) words.push(`> ${found.exclusiveMinimum}`);
  return words.join(" ");
}

/** A schema as a list of fields, objects inside it folded. */
export function fields(schema, document, depth = 0) {
  const found = resolve(schema, document);
  const all = found.allOf ? found.allOf.reduce((sum, one) => merge(sum, resolve(one, document)), {}) : found;
  const list = h("dl.fields");
  for (const [name, field] of Object.entries(all.properties ?? {})) {
    const inside = resolve(field, document);
    const item = typeOf(inside) === "array" ? resolve(inside.items ?? {}, document) : inside;
    const required = all.required?.includes(name);
    const preset = inside.default !== undefined && inside.default !== null;
    list.append(
      h(
        "dt",
        h("code.name", name),
        h("span.type", inWords(inside, document)),
        required ? h("span.tag", "required") : preset && h("span.type", `= ${JSON.stringify(inside.default)}`),
      ),
      h(
        "dd",
        paragraphs(field.description ?? inside.description),
        depth < 4 && item.properties && Object.keys(item.properties).length > 0 &&
          h("details", h("summary", `Fields of ${name}`), fields(item, document, depth + 1)),
      ),
    );
  }
  return list.children.length ? list : h("p.hint", inWords(all, document));
}

function merge(a, b) {
  return { ...a, ...b, properties: { ...a.properties, ...b.properties }, required: [...(a.required ?? []), ...(b.required ?? [])] };
}

/** Text with `code` in backquotes, and a blank line between paragraphs. */
export function paragraphs(text) {
  return (text ?? "")
    .split(/\n\s*\n/)
    .filter(Boolean)
    .map((paragraph) => h("p", inline(paragraph)));
}

/** The same for a line: its parts. */
export function inline(text) {
  return text.split(/(`[^`]+`|\*[^*\s][^*]*\*)/).map((part) => {
    if (part.startsWith("`")) return h("code", part.slice(1, -1));
    if (part.startsWith("*") && part.length > 2) return h("em", part.slice(1, -1));
    return part;
  });
}
