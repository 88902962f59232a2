import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';
import { hostPort } from '../model/destination.ts';
import type { Control } from './containment.ts';

/** A name that cannot resolve (RFC 6761 §6.4): only Weir answers for it. */
const NAME = 'verify.weir.invalid';
const TIMEOUT_MS = 5000;
const MAX_ANSWER = 65_536;

/** The proxy to go through and who to be. An empty user sends no credentials. */
export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Weir's certificate (PEM), when a collector gave it to us: then nobody else may end the TLS. */
  readonly ca?: string | undefined;
}

/** What Weir said about us, or why nothing came through. */
export interface VerifyAnswer {
  readonly scheme: 'http' | 'https';
  readonly through: boolean;
  readonly agent?: string;
  readonly identified_by?: string;
  readonly visibility?: string;
  readonly mode?: string;
  readonly containment?: string;
  /** https: whether programs with this environment's roots would trust the certificate. */
  readonly trusted?: boolean;
  readonly problem?: string;
}

/** One request for `verify.weir.invalid`. Never rejects. */
export async function verifyThrough(target: ProxyTarget, scheme: 'http' | 'https'): Promise<VerifyAnswer> {
  try {
    if (scheme === 'http') return { scheme, ...facts(await overHttp(target)) };
    const { text, trusted } = await overConnect(target);
    return { scheme, ...facts(text), ...(trusted === undefined ? {} : { trusted }) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const problem =
      code === 'ECONNREFUSED' ? `nothing listens on ${target.host}:${target.port}` : message || String(code);
    return { scheme, through: false, problem };
  }
}

function facts(text: string): Omit<VerifyAnswer, 'scheme'> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null)
    return { through: false, problem: 'the answer did not come from Weir' };
  const { through, agent, identified_by, visibility, mode, containment, error, reason } = value as Record<
    string,
    unknown
  >;
  if (through !== true && typeof through !== 'string')
    return { through: false, problem: String(reason ?? error ?? 'the answer did not come from Weir') };
  const word = (v: unknown): string => (typeof v === 'string' ? v : '');
  return {
    through: true,
    agent: word(agent),
    identified_by: word(identified_by),
    visibility: word(visibility),
    mode: word(mode),
    containment: word(containment),
  };
}

function headers(target: ProxyTarget): Record<string, string> {
  const own = { host: NAME, 'user-agent': 'weir-verify' };
  if (target.user === '') return own;
  const basic = Buffer.from(`${target.user}:${target.password}`).toString('base64');
  return { ...own, 'proxy-authorization': `Basic ${basic}` };
}

function overHttp(target: ProxyTarget): Promise<string> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const path = `http://${NAME}/`;
    const asked = request({ host, port, path, headers: headers(target), agent: false, timeout: TIMEOUT_MS });
    asked.on('response', (response) => readAnswer(response).then(resolve, reject));
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}

interface Inside {
  readonly text: string;
  readonly trusted?: boolean;
}

function overConnect(target: ProxyTarget): Promise<Inside> {
  return new Promise((resolve, reject) => {
    const { host, port } = target;
    const path = `${NAME}:443`;
    const options = {
      host,
      port,
      method: 'CONNECT',
      path,
      headers: { ...headers(target), host: path },
      agent: false as const,
      timeout: TIMEOUT_MS,
    };
    const asked = request(options);
    asked.on('connect', (response: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', reject);
      if (response.statusCode === 200) inside(socket, head, target).then(resolve, reject);
      // Where nothing is intercepted the answer is the CONNECT's own (its body is what follows the head).
      else refused(response, socket, head).then((text) => resolve({ text }), reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}

/**
 * Asks the proxy for a server, as a control for a direct attempt: it dials before it says 200. With `send` the server must
 * also answer these bytes through the tunnel. Never rejects.
 */
export function askThrough(target: ProxyTarget, host: string, port: number, send?: Buffer): Promise<Control> {
  return new Promise((resolve) => {
    const path = hostPort(host, port);
    const fields = { ...headers(target), host: path };
    const asked = request({
      host: target.host,
      port: target.port,
      method: 'CONNECT',
      path,
      headers: fields,
      agent: false,
      timeout: TIMEOUT_MS,
    });
    asked.on('connect', (response: IncomingMessage, socket: Socket, head: Buffer) => {
      const done = (control: Control): void => {
        socket.destroy();
        resolve(control);
      };
      socket.on('error', () => done('dead'));
      const { statusCode } = response;
      if (statusCode !== 200) return done(statusCode === 403 || statusCode === 407 ? 'refused' : 'dead');
      if (send === undefined || head.length > 0) return done('answers');
      socket.setTimeout(TIMEOUT_MS, () => done('dead'));
      socket.on('data', () => done('answers'));
      socket.on('close', () => done('dead'));
      return socket.write(send);
    });
    // A proxy that answers CONNECT with an ordinary response: no way through either.
    asked.on('response', (response) => {
      response.destroy();
      resolve('dead');
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    asked.on('error', () => resolve('dead'));
    asked.end();
  });
}

function inside(socket: Socket, head: Buffer, target: ProxyTarget): Promise<Inside> {
  if (head.length > 0) socket.unshift(head);
  return new Promise((resolve, reject) => {
    // Without Weir's certificate at hand the answer still says who we are; only that it is trusted is then not proven.
    const own = target.ca === undefined ? { rejectUnauthorized: false } : { ca: target.ca };
    const secure = connect({ socket, servername: NAME, ...own });
    secure.setTimeout(TIMEOUT_MS, () => secure.destroy(new Error(`no answer within ${TIMEOUT_MS} ms inside TLS`)));
    secure.on('error', (error: NodeJS.ErrnoException) => reject(new Error(tlsProblem(error), { cause: error })));
    secure.on('secureConnect', () => {
      const asked = request({
        createConnection: () => secure,
        path: '/',
        headers: { host: NAME, 'user-agent': 'weir-verify' },
      });
      const trusted = target.ca === undefined ? { trusted: secure.authorized } : {};
      asked.on('response', (response) => readAnswer(response).then((text) => resolve({ text, ...trusted }), reject));
      asked.on('error', reject);
      asked.end();
    });
    secure.on('close', () => reject(new Error('the connection was closed inside TLS')));
  });
}

function tlsProblem(error: NodeJS.ErrnoException): string {
  if (/SELF_SIGNED|UNABLE_TO|CERT_/.test(error.code ?? ''))
    return `somebody else than this Weir ends the TLS here (${error.code})`;
  return `TLS failed: ${error.message}`;
}

async function refused(response: IncomingMessage, socket: Socket, head: Buffer): Promise<string> {
  const wanted = Number(response.headers['content-length'] ?? 0);
  const chunks: Buffer[] = [head];
  let size = head.length;
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
  if (size < wanted) {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= wanted || size > MAX_ANSWER) break;
    }
  }
  socket.destroy();
  if (size > 0) return Buffer.concat(chunks).toString('utf8');
  throw new Error(`the proxy refused: ${response.statusCode} ${response.statusMessage}`);
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER) break;
    chunks.push(chunk);
  }
  response.socket?.destroy();
  return Buffer.concat(chunks).toString('utf8');
}
