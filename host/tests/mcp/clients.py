"""The official Python client, in both generations and over both transports: lists tools and works in a session."""

import asyncio
import sys

from mcp import Client, StdioServerParameters


async def works(server, mode: str) -> None:
    async with Client(server, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert {"counter_add", "counter_get", "session_create"} <= set(tools), tools
        arguments = {}
        created = await client.call_tool("session_create", {"resource_type": "counter"})
        if mode != "legacy":
            arguments["session_id"] = created.structured_content["session_id"]
        for by in (2, 3):
            added = await client.call_tool("counter_add", {"by": by, **arguments})
            assert not added.is_error, added
        got = await client.call_tool("counter_get", arguments)
        assert "5" in got.content[0].text, got
        print(f"python: {mode}, protocol {client.protocol_version}: {len(tools)} tools, a session that counts to 5")


async def main() -> None:
    url, program = sys.argv[1:]
    bridge = StdioServerParameters(command=program, args=["mcp", "--server", url])
    for server in (url, bridge):
        for mode in ("legacy", "auto"):
            await works(server, mode)


asyncio.run(main())
