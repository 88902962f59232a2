import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { WORDS } from '../support/llm.ts';
import { type ClientHouse, openClientHouse, runClient, succeeded, type View } from './harness.ts';

const PYTHON = process.env['WEIR_TEST_PYTHON'] ?? 'python3';
const VIEWS: readonly View[] = ['plain', 'tunnel', 'intercepted'];
const SECURE: readonly View[] = ['tunnel', 'intercepted'];

/** Why a test cannot run here, or false. */
async function lacking(module: string): Promise<string | false> {
  const { code, stderr } = await runClient(PYTHON, ['-c', `import ${module}`], process.env as Record<string, string>);
  return code === 0 ? false : `${PYTHON} cannot import ${module}: ${stderr.trim().split('\n').at(-1) ?? 'not found'}`;
}

/** Each prints the echoed body of a POST of `hello`; `{url}` is replaced. */
const CLIENTS: Readonly<Record<string, string>> = {
  urllib: `
import json, urllib.request
print(json.load(urllib.request.urlopen("{url}", data=b"hello", timeout=10))["body"])`,
  requests: `
import requests
print(requests.post("{url}", data="hello", timeout=10).json()["body"])`,
  httpx: `
import httpx
print(httpx.post("{url}", content="hello", timeout=10).json()["body"])`,
  aiohttp: `
import aiohttp, asyncio, os, ssl
async def main():
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    async with aiohttp.ClientSession(trust_env=True, connector=aiohttp.TCPConnector(ssl=context)) as session:
        async with session.post("{url}", data="hello") as response:
            print((await response.json())["body"])
asyncio.run(main())`,
};

const OPENAI = `
import openai
client = openai.OpenAI(api_key="not-a-key", base_url="{base}/v1", max_retries=0)
stream = client.chat.completions.create(model="m", stream=True, messages=[{"role": "user", "content": "weir?"}])
print("".join(part.choices[0].delta.content or "" for part in stream))`;

const ANTHROPIC = `
import anthropic
client = anthropic.Anthropic(api_key="not-a-key", base_url="{base}", max_retries=0)
with client.messages.stream(model="m", max_tokens=64, messages=[{"role": "user", "content": "weir?"}]) as stream:
    print("".join(stream.text_stream))`;

const WEBSOCKETS = `
import asyncio, os, ssl, websockets
async def main():
    secure = "{url}".startswith("wss")
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]) if secure else None
    async with websockets.connect("{url}", ssl=context, proxy=os.environ["HTTPS_PROXY"]) as socket:
        greeting = await socket.recv()
        await socket.send(["frag", "mented"])
        print(greeting, await socket.recv())
asyncio.run(main())`;

describe('clients: Python', { timeout: 110_000 }, async () => {
  let house: ClientHouse;
  before(async () => {
    house = await openClientHouse();
  });
  after(() => house?.close());
  const run = async (script: string): Promise<string> =>
    succeeded(await runClient(PYTHON, ['-c', script], house.env())).trimEnd();

  for (const [module, script] of Object.entries(CLIENTS)) {
    const skip = await lacking(module === 'urllib' ? 'urllib.request' : module);
    for (const view of VIEWS) {
      it(`${module}, ${view}`, { skip }, async () => {
        assert.equal(await run(script.replace('{url}', `${house.base(view)}/${module}`)), 'hello');
        await house.seen(view, `/${module}`);
      });
    }
  }

  const websockets = await lacking('websockets');
  for (const view of VIEWS) {
    it(`websockets, ${view}`, { skip: websockets }, async () => {
      const url = `${house.base(view).replace('http', 'ws')}/pysocket`;
      assert.equal(await run(WEBSOCKETS.replaceAll('{url}', url)), 'welcome fragmented');
      await house.seen(view, '/pysocket');
    });
  }

  for (const [module, script, path] of [
    ['openai', OPENAI, '/v1/chat/completions'],
    ['anthropic', ANTHROPIC, '/v1/messages'],
  ] as const) {
    const skip = await lacking(module);
    for (const view of SECURE) {
      it(`${module}, streaming, ${view}`, { skip }, async () => {
        assert.equal(await run(script.replace('{base}', house.base(view))), WORDS.join(''));
        await house.seen(view, path);
      });
    }
  }
});
