// Calls the tool of an MCP server, through whatever proxy the environment names.
//   HTTP_PROXY=http://assistant:x@127.0.0.1:8080 NODE_USE_ENV_PROXY=1 node client.mjs http://mcp.example.com/mcp Lisbon
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [url = 'http://127.0.0.1:3333/mcp', place = 'Lisbon'] = process.argv.slice(2);

const client = new Client({ name: 'assistant', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
console.log(`tools: ${tools.map(({ name }) => name).join(', ')}`);
const { content } = await client.callTool({ name: 'forecast', arguments: { place } });
console.log(content[0].text);
await client.close();
