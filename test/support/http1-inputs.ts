/** Seeded generator of HTTP/1 messages, honest and mangled, for differential tests. Bytes are latin1 strings until the end. */

export type Random = () => number;

/** mulberry32: small, seedable, good enough to choose test inputs. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}

function chance(random: Random, of: number): boolean {
  return random() < of;
}

const METHODS = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH', 'FOOBAR', 'get', 'QUERY'];
const TARGETS = [
  '/',
  '/a?b=c',
  'http://one.test/x',
  '*',
  '/%00',
  '/\xe9',
  '/a b',
  'x',
  '/a#b',
  'http://h:1',
  '/..//"<>',
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', ''];
const ODD_FIELDS = [
  'Transfer-Encoding: chunked',
  'transfer-encoding: Chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding:\xf4chunked',
  'Transfer-Encoding: chunked\x0b',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding:',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:\tchunked \t',
  'Content-Length: 5',
  'Content-Length: 5, 5',
  'Content-Length: +5',
  'Content-Length: -1',
  'Content-Length: 0x5',
  'Content-Length: 5 5',
  'Content-Length:',
  'Content-Length: 0',
  'Content-Length: 00000000000000000000005',
  'Content-Length: 18446744073709551617',
  'Content-Length:  5\t',
  'Content-Length : 5',
  'Connection: close',
  'Connection: keep-alive, Upgrade',
  'Connection: Transfer-Encoding',
  'Connection: keep-alive',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'Host: two.test',
  'X: \xff\xfe',
  'X:',
  'X: a\r\n folded',
  'X: a\r\n\tContent-Length: 3',
  'X: a\nContent-Length: 3',
  'X: a\rContent-Length: 3',
  'X: \x00',
  ' X: y',
  ': empty',
  'no colon',
  'X\x80: y',
  'Trailer: T',
  'Keep-Alive: timeout=5',
];
const SIZES = [
  '5',
  '05',
  'A',
  'a',
  '0000000000000005',
  '00000000000000005',
  '5 ',
  ' 5',
  '0x5',
  '+5',
  '-5',
  '5;a',
  '5;a=b',
];
const ODD_SIZES = [
  '5;a="b"',
  '5;a="\r\nb"',
  '5;=b',
  '5; a',
  '5;',
  '5\t',
  'ffffffffffffffff',
  '5;a="\\""',
  '5;\xe9=1',
  '',
];
const SPECIAL = [
  '\r',
  '\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\x0b',
  '\x0c',
  '\x7f',
  '\x80',
  '\xff',
  '0',
  '5',
  '\r\n',
  '\n\n',
  '"',
];

function chunkedBody(random: Random): string {
  let body = '';
  const count = Math.floor(random() * 3);
  for (let i = 0; i < count; i++) {
    const size = chance(random, 0.12) ? pick(random, ODD_SIZES) : pick(random, SIZES);
    const length = chance(random, 0.9) ? Number.parseInt(size.trim(), 16) || 0 : 4;
    const data = chance(random, 0.2) ? 'GET /in HTTP/1.1\r\nHost: in\r\n\r\n' : 'x'.repeat(64);
    body += `${size}\r\n${data.slice(0, Math.min(length, 64))}${chance(random, 0.95) ? '\r\n' : '\n'}`;
  }
  const trailers = chance(random, 0.2)
    ? pick(random, ['T: v\r\n', 'T : v\r\n', ' T: v\r\n', 'T: \xe9\r\n', 'T\r\n'])
    : '';
  return `${body}${pick(random, ['0', '0', '0', '00', '0;last'])}\r\n${trailers}\r\n`;
}

function fieldsAndBody(random: Random, host: boolean): string {
  const lines: string[] = host && chance(random, 0.95) ? ['Host: one.test'] : [];
  let body = '';
  const kind = random();
  if (kind < 0.35) {
    const length = Math.floor(random() * 12);
    lines.push(`Content-Length: ${length}`);
    body = 'GET / HTTP/1.1\r\n'.slice(0, length);
  } else if (kind < 0.7) {
    lines.push('Transfer-Encoding: chunked');
    body = chunkedBody(random);
  }
  const extra = Math.floor(random() * 4);
  for (let i = 0; i < extra; i++) {
    const line = chance(random, 0.35) ? pick(random, ODD_FIELDS) : `X-${i}: ${'v'.repeat(Math.floor(random() * 20))}`;
    lines.splice(Math.floor(random() * (lines.length + 1)), 0, line);
  }
  return `${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`;
}

function mutate(random: Random, message: string): string {
  let text = message;
  const times = 1 + Math.floor(random() * 3);
  for (let i = 0; i < times; i++) {
    const at = Math.floor(random() * text.length);
    const kind = random();
    if (kind < 0.4) text = text.slice(0, at) + pick(random, SPECIAL) + text.slice(at);
    else if (kind < 0.6) text = text.slice(0, at) + text.slice(at + 1);
    else if (kind < 0.8) text = text.slice(0, at) + pick(random, SPECIAL) + text.slice(at + 1);
    else if (kind < 0.9)
      text = text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1);
    else text = text.slice(0, at) + text.slice(at, at + 20) + text.slice(at);
  }
  return text;
}

/** One to three requests on one connection, as the bytes of it. */
export function requestBytes(random: Random): Buffer {
  let text = '';
  const count = 1 + Math.floor(random() * 3);
  for (let i = 0; i < count; i++) {
    const odd = chance(random, 0.15);
    const method = odd ? pick(random, METHODS) : pick(random, METHODS.slice(0, 5));
    const target = odd ? pick(random, TARGETS) : pick(random, TARGETS.slice(0, 4));
    const version = odd ? pick(random, VERSIONS) : 'HTTP/1.1';
    text += `${chance(random, 0.05) ? '\r\n' : ''}${method} ${target} ${version}\r\n${fieldsAndBody(random, true)}`;
  }
  return Buffer.from(chance(random, 0.5) ? mutate(random, text) : text, 'latin1');
}

const STATUS_LINES = [
  '200 OK',
  '204 No Content',
  '304 Not Modified',
  '404',
  '500 \xe9 odd',
  '999 x',
  '20 OK',
  '2000 OK',
  '200',
];

/** A response, perhaps after informational ones. */
export function responseBytes(random: Random): Buffer {
  const before = chance(random, 0.2)
    ? pick(random, ['HTTP/1.1 103 Early\r\nLink: x\r\n\r\n', 'HTTP/1.1 100 C\r\n\r\n'])
    : '';
  const version = chance(random, 0.9) ? 'HTTP/1.1' : pick(random, VERSIONS);
  const status = chance(random, 0.7) ? '200 OK' : pick(random, STATUS_LINES);
  let text = `${before}${version} ${status}\r\n${fieldsAndBody(random, false)}`;
  if (chance(random, 0.3)) text += 'the rest until the end';
  return Buffer.from(chance(random, 0.4) ? mutate(random, text) : text, 'latin1');
}

/** Cuts bytes into one to four pieces. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const cuts = [0, bytes.length];
  const count = Math.floor(random() * 4);
  for (let i = 0; i < count; i++) cuts.push(Math.floor(random() * bytes.length));
  cuts.sort((a, b) => a - b);
  const parts: Buffer[] = [];
  for (let i = 1; i < cuts.length; i++) {
    const part = Buffer.from(bytes.subarray(cuts[i - 1], cuts[i]));
    if (part.length > 0) parts.push(part);
  }
  return parts;
}
