import type { CanaryKind } from './canary.ts';
import { claim } from './watched.ts';

/** A request before it is written down; every part of it can hold a canary. */
export interface Draft {
  method: string;
  scheme: string;
  userinfo: string;
  host: string;
  port: string;
  path: string;
  /** The Host field when it shall differ. */
  hostField?: string;
  agent: string;
  password: string;
  readonly fields: [string, string][];
  body: string;
  trailers: [string, string][];
}

/** A place of a request head or body a canary can stand in. */
export interface Position {
  readonly name: string;
  readonly kinds: readonly CanaryKind[];
  put(draft: Draft, canary: string): void;
}

const BOTH = ['credential', 'anything'] as const;
const CREDENTIAL = ['credential'] as const;

function field(name: string, kinds: Position['kinds'], value: (canary: string) => string = (c) => c): Position {
  return { name, kinds, put: (draft, canary) => void draft.fields.push([name, value(canary)]) };
}

/** Positions of any request. */
export const POSITIONS: readonly Position[] = [
  {
    name: 'host label',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.host = `${c}.${d.host}`;
    },
  },
  {
    name: 'Host field',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.hostField = `${c}.test`;
    },
  },
  {
    name: 'userinfo',
    kinds: BOTH,
    put: (d, c) => {
      d.userinfo = `someone:${c}@`;
    },
  },
  {
    name: 'path',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.path += `/v1/${c}/x`;
    },
  },
  {
    name: 'path, encoded',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.path += `/v1/${percent(c)}/x`;
    },
  },
  {
    name: 'path, encoded twice',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.path += `/${percent(percent(c))}`;
    },
  },
  {
    name: 'query key',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.path += `?${c}=1`;
    },
  },
  {
    name: 'bare query',
    kinds: BOTH,
    put: (d, c) => {
      d.path += `?${c}`;
    },
  },
  {
    name: 'query value',
    kinds: BOTH,
    put: (d, c) => {
      d.path += `?page=2&q=${c}&sort=asc`;
    },
  },
  {
    name: 'value of a harmless key',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.path += `?page=${c}`;
    },
  },
  {
    name: 'fragment',
    kinds: BOTH,
    put: (d, c) => {
      d.path += `#${c}`;
    },
  },
  {
    name: 'method',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.method = c;
    },
  },
  { name: 'field name', kinds: BOTH, put: (d, c) => void d.fields.push([`x-${c}`, '1']) },
  {
    name: 'agent name',
    kinds: CREDENTIAL,
    put: (d, c) => {
      d.agent = c;
    },
  },
  {
    name: 'illegal agent name',
    kinds: BOTH,
    put: (d, c) => {
      d.agent = `${c}/!`;
    },
  },
  {
    name: 'proxy password',
    kinds: BOTH,
    put: (d, c) => {
      d.password = c;
    },
  },
  {
    name: 'body',
    kinds: BOTH,
    put: (d, c) => {
      d.body = `{"k":"${c}"}`;
    },
  },
  { name: 'trailer', kinds: BOTH, put: (d, c) => void d.trailers.push(['x-end', c]) },
  field('authorization', BOTH, (c) => `Bearer ${c}`),
  field('cookie', BOTH, (c) => `session=${c}`),
  field('x-anything', BOTH),
  field('user-agent', CREDENTIAL, (c) => `tool/1.0 (${c})`),
  field('referer', BOTH, (c) => `http://elsewhere.test/${c}`),
  field('content-type', CREDENTIAL, (c) => `text/plain; x=${c}`),
  field('x-weir-agent', CREDENTIAL),
  field('traceparent', BOTH),
  field('tracestate', BOTH, (c) => `v=${c}`),
  field('baggage', BOTH, (c) => `u=${c}`),
  field('sec-websocket-protocol', BOTH),
];

function percent(text: string): string {
  return text.replace(/[^%]|%/g, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function draft(host: string, port: string, path: string, agent: string): Draft {
  return {
    method: 'POST',
    scheme: 'http',
    userinfo: '',
    host,
    port,
    path,
    agent,
    password: 'x',
    fields: [],
    body: '',
    trailers: [],
  };
}

/** Origin-form or absolute-form HTTP/1.1; `more` are raw extra lines with CRLF. */
export function writeDown(d: Draft, form: 'absolute' | 'origin', more = ''): string {
  const authority = `${d.host}${d.port}`;
  const target = form === 'absolute' ? `${d.scheme}://${d.userinfo}${authority}${d.path}` : d.path;
  let head = `${d.method} ${target} HTTP/1.1\r\nHost: ${d.hostField ?? authority}\r\n`;
  if (form === 'absolute') head += claim(d.agent, d.password);
  for (const [name, value] of d.fields) head += `${name}: ${value}\r\n`;
  head += `${more}Connection: close\r\n`;
  if (d.trailers.length > 0) {
    const end = d.trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return `${head}Transfer-Encoding: chunked\r\n\r\n${d.body.length.toString(16)}\r\n${d.body}${d.body === '' ? '' : '\r\n0\r\n'}${end}\r\n`;
  }
  return `${head}Content-Length: ${d.body.length}\r\n\r\n${d.body}`;
}
