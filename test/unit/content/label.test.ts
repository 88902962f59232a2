import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse as yaml } from 'yaml';
import { AWS, GITHUB, pem, pieces, play } from './filter-support.ts';

const LABEL = '[AWS ACCESS KEY ID_REDACTED]';
const CARD = ['4111', '1111', '1111', '1111'].join('');

async function redacted(contentType: string, body: string, length?: number): Promise<string> {
  const whole = await play({ contentType, length }, [Buffer.from(body)]);
  const cut = await play({ contentType, length }, pieces(Buffer.from(body), 3));
  assert.equal(cut.bytes.toString(), whole.bytes.toString());
  return whole.bytes.toString();
}

test('a form stays a form', async () => {
  const type = 'application/x-www-form-urlencoded';
  const out = await redacted(type, `a=1&key=${AWS}&b=x+y&enc=${encodeURIComponent(`k=${GITHUB}`)}`);
  const form = new URLSearchParams(out);
  assert.deepEqual(
    [...form],
    [
      ['a', '1'],
      ['key', LABEL],
      ['b', 'x y'],
      ['enc', 'k=[GITHUB PERSONAL ACCESS TOKEN_REDACTED]'],
    ],
  );
});

test('YAML keeps its types', async () => {
  const out = await redacted(
    'application/yaml',
    `key: ${AWS}\nquoted: "${AWS}"\nlist:\n  - ${AWS}\n  - see ${AWS} there\nblock: |\n  ${pem(3).trim().replaceAll('\n', '\n  ')}\nlast: 1\n`,
  );
  assert.deepEqual(yaml(out), {
    key: LABEL.slice(1, -1),
    quoted: LABEL,
    list: [LABEL.slice(1, -1), `see ${LABEL} there`],
    // A line may begin a value.
    block: 'RSA PRIVATE KEY_REDACTED\n',
    last: 1,
  });
});

test('markup keeps its elements', async () => {
  const out = await redacted('text/html; charset=utf-8', `<a title="${AWS}">${AWS}</a><!-- ${AWS} --><p>&lt;</p>`);
  assert.equal(out, `<a title="${LABEL}">${LABEL}</a><!-- ${LABEL} --><p>&lt;</p>`);
});

test('multipart keeps its parts', async () => {
  const part = (name: string, value: string): string =>
    `--b\r\nContent-Disposition: form-data; name="${name}"; filename="${name}.txt"\r\n\r\n${value}\r\n`;
  const body = `${part('a', AWS)}${part('key', pem(4))}${part('z', 'end')}--b--\r\n`;
  const form = await new Response(await redacted('multipart/form-data; boundary=b', body), {
    headers: { 'content-type': 'multipart/form-data; boundary=b' },
  }).formData();
  const texts = await Promise.all(['a', 'key', 'z'].map((name) => (form.get(name) as File).text()));
  assert.deepEqual(texts, [LABEL, '[RSA PRIVATE KEY_REDACTED]\n', 'end']);
});

const JSONS: readonly (readonly [what: string, value: unknown, expected: unknown])[] = [
  ['a value', { a: AWS }, { a: LABEL }],
  ['the name of a member', { [AWS]: 1 }, { [LABEL]: 1 }],
  ['beside escapes', { a: `\n${AWS}\n"${AWS}"\\${AWS}\\` }, { a: `\n${LABEL}\n"${LABEL}"\\${LABEL}\\` }],
  ['JSON in JSON', { a: JSON.stringify({ b: AWS }) }, { a: JSON.stringify({ b: LABEL }) }],
  ['a key and what is behind it', { a: `x ${pem(3)} y`, b: 'z' }, { a: 'x [RSA PRIVATE KEY_REDACTED]\n y', b: 'z' }],
  [
    'a key without its end',
    { a: pem(3).split('-----END')[0], b: 'z', c: 1 },
    { a: '[RSA PRIVATE KEY_REDACTED]', b: 'z', c: 1 },
  ],
];
for (const [what, value, expected] of JSONS) {
  test(`JSON: ${what}`, async () => {
    for (const indent of [undefined, 2]) {
      assert.deepEqual(JSON.parse(await redacted('application/json', JSON.stringify(value, null, indent))), expected);
    }
  });
}

test('JSON: a number that is one becomes a string, also of the same length', async () => {
  const body = `{"card number": ${CARD}, "n": [${CARD}, 1]}`;
  for (const length of [undefined, 1 << 21]) {
    const out = await redacted('application/json', body, length);
    if (length !== undefined) assert.equal(out.length, body.length);
    const parsed = JSON.parse(out) as Record<string, unknown>;
    assert.equal(typeof parsed['card number'], 'string');
    assert.ok(!String(parsed['card number']).includes(CARD.slice(0, 12)));
  }
});

test('where lengths stand inside, a label is cut or filled up', async () => {
  const out = await redacted('application/octet-stream', `\0\x14${AWS}\x01${GITHUB}\0`);
  assert.equal(out, `\0\x14${LABEL.slice(0, AWS.length)}\x01[GITHUB PERSONAL ACCESS TOKEN_REDACTED]*\0`);
});

test('two secrets side by side are two labels, overlapping finds are one', async () => {
  const { bytes, replaced } = await play({ contentType: 'text/plain' }, [
    Buffer.from(`${AWS} ${AWS}\npassword = "${GITHUB}"\n`),
  ]);
  assert.equal(bytes.toString(), `${LABEL} ${LABEL}\npassword = "[GITHUB PERSONAL ACCESS TOKEN_REDACTED]"\n`);
  assert.equal(replaced, 3);
});
