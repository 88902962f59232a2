// A tiny agent: two requests, through whatever proxy the environment names.
//   HTTP_PROXY=http://researcher:x@127.0.0.1:8080 NODE_USE_ENV_PROXY=1 node agent.mjs http://example.org/
const [url = 'http://example.org/'] = process.argv.slice(2);

const page = await fetch(url);
console.log(`GET ${url} → ${page.status}, ${(await page.text()).length} characters`);

const answer = await fetch(new URL('/notes', url), { method: 'POST', body: JSON.stringify({ text: 'hello' }) });
console.log(`POST /notes → ${answer.status}`);
