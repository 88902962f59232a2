// The smallest agent there is: asks for one address every half minute, through the proxy its environment names.
// Put your own image and command in its place; the environment stays.
const url = process.env.AGENT_URL ?? 'https://example.org/';
const pause = Number(process.env.AGENT_PAUSE_MS ?? 30_000);

async function ask() {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(20_000) });
    const text = await response.text();
    console.log(`GET ${url} → ${response.status}, ${text.length} characters`);
  } catch (error) {
    console.log(`GET ${url} failed: ${error.cause?.message ?? error.message}`);
  }
}

process.on('SIGTERM', () => process.exit(0));
await ask();
setInterval(ask, pause);
