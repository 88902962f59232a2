import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePatterns } from '../../../src/scan/compile.ts';
import { createEngine } from '../../../src/scan/engine.ts';
import { scanLayers } from '../../../src/scan/layers.ts';
import { ENCODERS, lines, quotedPrintable } from './encoders.ts';
import { librarySources } from './library.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const SECRETS: readonly [string, string][] = [
  ['github-pat', ['ghp', 'aR7xK2mQ9vT4wZ8bN3cJ6fH1dL5gY0sEpU2i'].join('_')],
  ['aws-access-key', ['AK', 'IA', 'Q7ZP2MW8XK4TN9VB'].join('')],
];
const engine = createEngine(compilePatterns(librarySources()));
const B = '----weir7MA4YWxk';

/** How a body of each type carries a text that its writer got as it is. */
const PLACES: Record<string, (text: string) => string> = {
  'JSON string': (text) => JSON.stringify({ a: 1, note: `see "${text}"\nend` }),
  'JSON key': (text) => JSON.stringify({ [text]: true }),
  'JSON in a JSON string': (text) => JSON.stringify({ arguments: JSON.stringify({ content: text }) }),
  'form value': (text) => `a=1&note=${encodeURIComponent(text).replaceAll('%20', '+')}&b=2`,
  'form key': (text) => `${encodeURIComponent(text)}=1&b=2`,
  'multipart part': (text) => `--${B}\r\nContent-Disposition: form-data; name="note"\r\n\r\n${text}\r\n--${B}--\r\n`,
  'multipart filename': (text) =>
    `--${B}\r\nContent-Disposition: form-data; name="f"; filename="${text}.txt"\r\n\r\nx\r\n--${B}--\r\n`,
  'multipart filename*': (text) =>
    `--${B}\r\nContent-Disposition: form-data; name="f"; filename*=UTF-8''${encodeURIComponent(text)}.txt\r\n\r\nx\r\n`,
  'multipart name': (text) => `--${B}\r\nContent-Disposition: form-data; name="${text}"\r\n\r\nx\r\n--${B}--\r\n`,
  'part in base64': (text) =>
    `--${B}\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines(Buffer.from(`To whom it may concern\r\n${text}\r\n${'text '.repeat(30)}`).toString('base64'))}\r\n--${B}--`,
  'part in quoted-printable': (text) =>
    `--${B}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${quotedPrintable(`${'some text, '.repeat(5)}and ${text} =)`)}\r\n--${B}--`,
  'XML text': (text) => `<?xml version="1.0"?>\n<a><key>${text.replaceAll('&', '&amp;')}</key></a>`,
  'XML attribute': (text) => `<a key='${text}' other="1"/>`,
  'XML CDATA': (text) => `<a><![CDATA[${text}]]></a>`,
  YAML: (text) => `service:\n  token: ${text}\n  other: 1\n`,
  'YAML folded': (text) => `service:\n  note: >-\n    some words\n    ${text}\n    more\n`,
  CSV: (text) => `name,token,note\r\n"Doe, J.",${text},"a ""quoted"" word"\r\n`,
  text: (text) => `some words and ${text}, and more`,
  'unknown bytes': (text) => `\u0000\u0001\u0002\u00ff${text}\u0000\u00fe\u0003`,
  'protobuf string': (text) => `\u0012\u0003abc\u001a\u007fsee ${text}\u0020\u0001`,
  'event stream': (text) => `event: delta\ndata: {"text": ${JSON.stringify(text)}}\n\n`,
  URL: (text) => `https://a.test/p/${encodeURIComponent(text)}?q=1`,
};

for (const [place, put] of Object.entries(PLACES)) {
  test(`found in a ${place}, plain and behind every layer`, () => {
    const missed: string[] = [];
    for (const [rule, secret] of SECRETS) {
      for (const [layer, encode] of Object.entries({ plain: String, ...ENCODERS })) {
        const body = Buffer.from(put(encode(secret)));
        const { matches, unscanned } = scanLayers(engine, body);
        assert.equal(unscanned, false);
        if (!matches.some(({ pattern }) => pattern.id === rule)) missed.push(`${rule} ${layer}`);
      }
    }
    assert.deepEqual(missed, []);
  });
}

test('found in UTF-16, in both byte orders, with and without a mark', () => {
  for (const [rule, secret] of SECRETS) {
    const little = Buffer.from(`some words ${secret} and more`, 'utf16le');
    for (const bytes of [little, Buffer.from(little).swap16()]) {
      for (const body of [
        bytes,
        Buffer.concat([Buffer.from([0xff, 0xfe]), bytes]),
        Buffer.concat([Buffer.from('<odd>'), bytes]),
      ]) {
        const { matches } = scanLayers(engine, body);
        assert.deepEqual(
          matches.map(({ pattern }) => pattern.id),
          [rule],
        );
        // What is left when its place is cut out gives the secret to nobody.
        const [match] = matches;
        const rest = Buffer.concat([body.subarray(0, match?.start), Buffer.from('#'), body.subarray(match?.end)]);
        assert.deepEqual(scanLayers(engine, rest).matches, []);
      }
    }
  }
});
