// Calls an operation that an OpenAPI document describes: its fields, a button, and what came of it.

import { answer } from "./answer.js";
import { ask, curl } from "./api.js";
import { copyButton, fill, h } from "./dom.js";
import { examples, form, object } from "./form.js";
import { resolve } from "./schema.js";

const WORKER = "sandbox.worker";

/** The worker that calls from these pages run for. */
export const worker = {
  get: () => localStorage.getItem(WORKER) ?? "console",
  set: (name) => localStorage.setItem(WORKER, name),
};

/** The form of an operation: an element. */
export function runner({ path, method, operation, document }) {
  const beside = parameters(operation, document);
  const body = bodyOf(operation, document);
  const run = h("button.primary", { type: "submit" }, operation["x-tool"] ? "Run" : "Send");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const command = h("pre", { tabindex: "0", role: "region", "aria-label": "Command" });
  const result = h("div.result");
  const request = () => {
    const given = beside.value();
    if (given["X-Worker-ID"]) worker.set(given["X-Worker-ID"]);
    return assemble(path, method, beside.list, given, body?.made.value());
  };
  const terminal = h(
    "details.terminal",
    { ontoggle: () => terminal.open && showCommand() },
    h("summary", "As a command"),
    command,
    h("div.below", copyButton(() => command.textContent, "Copy the command")),
  );
  const showCommand = () => {
    try {
      const { address, ...rest } = request();
      command.textContent = curl(address, rest);
    } catch {
      command.textContent = "";
    }
  };
  const element = h(
    "form.runner",
    { "aria-label": `Call ${operation["x-tool"] ?? operation.operationId}` },
    h(
      "div.asked",
      beside.list.length > 0 && h("div.beside", beside.element),
      body && [examples(body.schema, document, body.made), body.made.element],
      h("div.buttons", run, cancel, h("span.hint.keys", "Ctrl + Enter")),
      terminal,
    ),
    result,
  );
  let running;
  element.addEventListener("input", () => terminal.open && showCommand());
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  });
  cancel.addEventListener("click", () => running?.abort());
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    let asked;
    try {
      asked = request();
    } catch {
      return;
    }
    running = new AbortController();
    run.disabled = true;
    cancel.hidden = false;
    fill(result, h("p.hint.working", { role: "status" }, "Running …"));
    try {
      const { address, ...rest } = asked;
      fill(result, answer(await ask(address, { ...rest, signal: running.signal })));
      result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      const gone = error.name === "AbortError";
      fill(result, h("p.fault", { role: "alert" }, gone ? "Cancelled, in the server too." : `No answer: ${error.message}`));
    } finally {
      running = undefined;
      run.disabled = false;
      cancel.hidden = true;
    }
  });
  return element;
}

/** What stands in path, query and headers; the trace is left to the server. */
function parameters(operation, document) {
  const list = (operation.parameters ?? []).map((one) => resolve(one, document)).filter((one) => one.name !== "traceparent");
  const preset = { "X-Worker-ID": operation["x-tool"] || operation.operationId === "callTool" ? worker.get() : undefined };
  const properties = list.map((one) => [one.name, { ...one.schema, description: one.description }]);
  for (const one of list) if (one.example !== undefined) preset[one.name] = one.example;
  const required = list.filter((one) => one.required).map((one) => one.name);
  return { list, ...object({ properties: Object.fromEntries(properties), required }, document, preset) };
}

function bodyOf(operation, document) {
  const content = operation.requestBody?.content?.["application/json"];
  if (!content) return undefined;
  const schema = resolve(content.schema, document);
  const preset = content.example ?? schema.examples?.[0];
  return { schema, made: form(schema, document, preset) };
}

function assemble(path, method, list, given, body) {
  let address = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { name, in: where } of list) {
    const value = given[name];
    if (where === "path") address = address.replace(`{${name}}`, encodeURIComponent(value ?? "").replaceAll("%3A", ":"));
    else if (value === undefined || value === "") continue;
    else if (where === "query") query.set(name, value);
    else if (where === "header") headers[name] = value;
  }
  if (query.size) address += `?${query}`;
  return { address, method: method.toUpperCase(), headers, body };
}
