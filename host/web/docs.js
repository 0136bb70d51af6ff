// The page that describes the API, from the two OpenAPI documents of the server, and from which everything can be called.

import { get, root } from "./api.js";
import { $, fill, h } from "./dom.js";
import { frame } from "./frame.js";
import { runner } from "./runner.js";
import { fields, inline, paragraphs, resolve } from "./schema.js";

/** Every operation by its id, with the document that it stands in. */
let operations = new Map();
let documents = {};

frame();
window.addEventListener("hashchange", show);
window.addEventListener("key-changed", load);
load();

async function load() {
  try {
    const [tools, routes] = await Promise.all([get("openapi/tools.json"), get("openapi.json")]);
    documents = { tools, routes };
  } catch (error) {
    fill($("main"), h("p.fault", { role: "alert" }, `The description cannot be read: ${error.message}`));
    return;
  }
  operations = new Map([...listed("tool", documents.tools), ...listed("route", documents.routes)]);
  $("title").textContent = documents.routes.info.title;
  contents();
  show();
}

function listed(prefix, document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${prefix}/${operation.operationId}`, { path, method, operation, document }]));
}

/** The list at the side. */
function contents() {
  const filter = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter operations", autocomplete: "off" });
  const groups = [...group("tool", documents.tools), ...group("route", documents.routes)];
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase();
    for (const section of groups) {
      const items = [...section.querySelectorAll("li")];
      for (const item of items) item.hidden = !item.dataset.text.includes(wanted);
      section.hidden = items.every((item) => item.hidden);
    }
  });
  const menu = h("details.menu", { open: true }, h("summary", "Operations"), filter, h("a.all", { href: "#" }, "Overview"), groups);
  // On a narrow screen the list would stand before everything else.
  const narrow = matchMedia("(max-width: 800px)");
  menu.open = !narrow.matches;
  menu.addEventListener("click", (event) => {
    if (narrow.matches && event.target.closest("a")) menu.open = false;
  });
  fill($("contents"), menu);
}

function group(prefix, document) {
  return (document.tags ?? []).map((tag) => {
    const inside = [...operations].filter(([id, { operation }]) => id.startsWith(`${prefix}/`) && operation.tags[0] === tag.name);
    const items = inside.map(([id, { operation, path, method }]) =>
      h("li", { "data-text": `${operation["x-tool"] ?? ""} ${path} ${operation.summary}`.toLowerCase() },
        h("a", { href: `#${id}` }, prefix === "tool" ? h("code", operation["x-tool"]) : [h(`span.method.${method}`, method.toUpperCase()), operation.summary])));
    return h("section", h("h2", tag.name, prefix === "tool" && h("span.kind", "tools")), h("ul", items));
  });
}

/** What the address says. */
function show() {
  const id = decodeURIComponent(location.hash.slice(1));
  const found = operations.get(id);
  for (const link of $("contents").querySelectorAll("a")) {
    if (link.getAttribute("href") === `#${id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const main = $("main");
  fill(main, found ? operation(found) : overview());
  document.title = `${found ? (found.operation["x-tool"] ?? found.operation.summary) : "API"} · sandbox`;
  if (found) main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function overview() {
  const { tools, routes } = documents;
  const raw = (path) => h("a", { href: new URL(path, root).href }, path);
  return h(
    "article.overview",
    h("h1", routes.info.title),
    h("p.hint", `Version ${routes.info.version} · OpenAPI ${routes.openapi} · `, raw("openapi.json"), " · ", raw("openapi/tools.json")),
    paragraphs(routes.info.description),
    h("h2", "Tools"),
    (tools.tags ?? []).map((tag) => [h("h3", tag.name), paragraphs(tag.description), table("tool", tag.name)]),
    Object.keys(tools.paths).length === 0 && h("p.hint", "No backend is loaded that has any."),
    h("h2", "Routes"),
    routes.tags.map((tag) => [h("h3", tag.name), paragraphs(tag.description), table("route", tag.name)]),
  );
}

function table(prefix, tag) {
  const inside = [...operations].filter(([id, { operation }]) => id.startsWith(`${prefix}/`) && operation.tags[0] === tag);
  return h("ul.index", inside.map(([id, { operation, path, method }]) =>
    h("li", h("a", { href: `#${id}` }, h("code", operation["x-tool"] ?? `${method.toUpperCase()} ${path}`)), h("span", operation.summary))));
}

function operation({ path, method, operation, document }) {
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  const beside = (operation.parameters ?? []).map((one) => resolve(one, document));
  return h(
    "article.operation",
    h(
      "div.described",
      h("h1", operation["x-tool"] ? h("code", operation["x-tool"]) : operation.summary),
      h("p.address", h(`span.method.${method}`, method.toUpperCase()), h("code", path)),
      operation["x-tool"] && h("p.lead", operation.summary),
      marks(operation),
      paragraphs(operation.description),
      body && [h("h2", operation["x-tool"] ? "Parameters" : "Body"), fields(body, document)],
      beside.length > 0 && [h("h2", "Beside the body"), besides(beside)],
      h("h2", "Answers"),
      responses(operation, document),
    ),
    h("aside.try", { "aria-label": "Try it" }, h("h2", "Try it"), runner({ path, method, operation, document })),
  );
}

function marks(operation) {
  if (!operation["x-tool"]) return undefined;
  const mark = (name, label) => operation[name] && h("span.tag", label);
  return h("p.marks", mark("x-read-only", "read-only"), mark("x-destructive", "may destroy"), mark("x-idempotent", "idempotent"));
}

function besides(list) {
  return h("dl.fields", list.map((one) => [
    h("dt", h("code.name", one.name), h("span.type", one.in), one.required && h("span.tag", "required")),
    h("dd", paragraphs(one.description)),
  ]));
}

function responses(operation, document) {
  const each = Object.entries(operation.responses).sort(([a], [b]) => a.localeCompare(b));
  return each.map(([status, response]) => {
    const found = { ...resolve(response, document), description: response.description ?? resolve(response, document).description };
    const schema = Object.values(found.content ?? {})[0]?.schema;
    const head = [h(`span.chip.${status < "3" ? "good" : status === "default" ? "plain" : "bad"}`, status === "default" ? "else" : status), h("span", inline(found.description))];
    return schema ? h("details.response", h("summary", head), fields(schema, document)) : h("p.response", head);
  });
}
