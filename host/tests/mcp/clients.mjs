// The official TypeScript clients, of the older generation and of the newer one.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const url = new URL(process.argv[2]);

async function works(name, client, transport) {
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  if (!tools.includes("counter_add")) throw new Error(`tools: ${tools}`);
  const call = async (name, values) => client.callTool({ name, arguments: values });
  const created = await call("session_create", { resource_type: "counter" });
  const adds = (await client.listTools()).tools.find((tool) => tool.name === "counter_add");
  const named = adds.inputSchema.properties.session_id ? { session_id: created.structuredContent.session_id } : {};
  for (const by of [2, 3]) await call("counter_add", { by, ...named });
  const got = await call("counter_get", named);
  if (got.isError || !got.content[0].text.includes("5")) throw new Error(JSON.stringify(got));
  await client.close();
  console.log(`typescript: ${name}: ${tools.length} tools, a session that counts to 5`);
}

const about = { name: "test", version: "1" };
await works("sdk 1", new OldClient(about), new OldTransport(url));
await works("client 2", new Client(about), new StreamableHTTPClientTransport(url));
