import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { assemble } from '../support/assemble.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { type Asked, exchange, type Lane, type Protocol, type Seen } from '../support/parity-lanes.ts';
import { type ParityOrigin, parityOrigin, type Received } from '../support/parity-origin.ts';
import { type Case, grpcMessage, HOST_SECRET, type Outcome, SECRET, TABLE } from '../support/parity-table.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

const MODES = ['monitor', 'redact', 'enforce'] as const;
type Mode = (typeof MODES)[number];
const HOSTS = ['*.plain.test', '*.leak.test', '*.h2.test', '*.opaque.test', '*.sealed.test', 'localhost'];
const BREAK = new URL('../support/break-inspector.ts', import.meta.url).href;

interface Watched extends Lane {
  readonly mode: Mode;
  readonly weir: Weir;
  readonly otlp: OtlpReceiver;
}
interface Scene {
  readonly direct: Lane;
  readonly lanes: readonly Watched[];
  close(): Promise<void>;
}

function openScene(): Promise<Scene> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const leaf = upstream.authority.issue(HOSTS);
    const origins = await Promise.all(['direct', ...MODES].map(() => parityOrigin(leaf)));
    for (const origin of origins) later(async () => origin.close());
    const [straight, ...others] = origins as [ParityOrigin, ...ParityOrigin[]];
    const open = async (mode: Mode, origin: ParityOrigin): Promise<Watched> => {
      const otlp = await startOtlpReceiver();
      later(otlp.close);
      const weir = await startWeir({
        env: { NODE_OPTIONS: `--import=${BREAK}` },
        config: {
          mode,
          intercept: { except: ['*.opaque.test', '*.sealed.test'] },
          baseline: { ready_after_requests: 0 },
          destinations: {
            blocked: [
              'denied.plain.test',
              'denied.leak.test',
              'denied.h2.test',
              'denied.opaque.test',
              'denied.sealed.test',
            ],
          },
          agents: {
            researcher: {},
            careful: { blocked_categories: ['injection'] },
            tunneller: { allowed_domains: ['*.opaque.test:9999', '*.sealed.test', 'localhost'] },
          },
          upstream: {
            resolve: {
              '*.plain.test': `127.0.0.1:${origin.plainPort}`,
              '*.leak.test': `127.0.0.1:${origin.tlsPort}`,
              '*.h2.test': `127.0.0.1:${origin.h2Port}`,
              '*.opaque.test': `127.0.0.1:${origin.tcpPort}`,
              '*.sealed.test': `127.0.0.1:${origin.tlsPort}`,
            },
            ca_file: upstream.caFile,
          },
          telemetry: { endpoint: otlp.url },
        },
      });
      later(weir.stop);
      return {
        name: mode,
        mode,
        weir,
        otlp,
        origin,
        ca: await weir.ca(),
        originCa: upstream.authority.cert,
        proxy: weir.port,
      };
    };
    const lanes = await Promise.all(MODES.map((mode, i) => open(mode, others[i] as ParityOrigin)));
    return {
      direct: { name: 'direct', origin: straight, ca: upstream.authority.cert, originCa: upstream.authority.cert },
      lanes,
    };
  });
}

const DOMAIN: Readonly<Record<Protocol, string>> = {
  plain: 'plain.test',
  ws: 'plain.test',
  http1: 'leak.test',
  sse: 'leak.test',
  wss: 'leak.test',
  http2: 'h2.test',
  grpc: 'h2.test',
  sealed: 'sealed.test',
  tunnel: 'opaque.test',
};

/** Its bytes are not read, so that it has no path to be known by. */
const isTunnel = (protocol: Protocol): boolean => protocol === 'tunnel' || protocol === 'sealed';
const isSocket = (protocol: Protocol): boolean => protocol === 'ws' || protocol === 'wss';
const tagOf = ({ name }: Case, protocol: Protocol): string => `${name}-${protocol}`;

/** What an agent that has nothing special to say says. */
function asking(line: Case, protocol: Protocol): Asked {
  const fields: Record<string, string> =
    protocol === 'grpc' ? { 'content-type': 'application/grpc', te: 'trailers' } : {};
  const usual: Asked = {
    host: `${isTunnel(protocol) ? line.name : 'a'}.${DOMAIN[protocol]}`,
    method: protocol === 'grpc' ? 'POST' : 'GET',
    target: `/${tagOf(line, protocol)}`,
    fields,
    sized: false,
    messages: protocol === 'tunnel' ? ['\u0000\u0001\u0002 neither TLS nor HTTP', ' and more'] : ['hello', 'again'],
    agent: isTunnel(protocol) ? 'tunneller' : 'researcher',
    ...(protocol === 'grpc' ? { body: [grpcMessage('a question')] } : {}),
  };
  return { ...usual, ...line.ask?.(usual, protocol) };
}

/** Where `localhost` leads on a lane. */
function portOf({ origin }: Lane, protocol: Protocol): number {
  if (protocol === 'tunnel') return origin.tcpPort;
  if (DOMAIN[protocol] === 'plain.test') return origin.plainPort;
  return DOMAIN[protocol] === 'h2.test' ? origin.h2Port : origin.tlsPort;
}

interface Got {
  readonly seen: Seen;
  readonly received: Received | undefined;
  readonly bytes: Buffer;
}

async function play(lane: Lane, line: Case, protocol: Protocol): Promise<Got> {
  const said = line.say?.(protocol);
  if (said !== undefined) lane.origin.answer(tagOf(line, protocol), said);
  else if (protocol === 'grpc') {
    const fields = { 'content-type': 'application/grpc' };
    lane.origin.answer(tagOf(line, protocol), {
      fields,
      pieces: [grpcMessage('an answer')],
      trailers: { 'grpc-status': '0' },
    });
  }
  const asked = asking(line, protocol);
  const where = line.internal === true ? { host: 'localhost', port: portOf(lane, protocol) } : {};
  const seen = await exchange(lane, protocol, { ...asked, ...where });
  if (isSocket(protocol)) {
    const { received } = lane.origin;
    if (seen.close !== undefined)
      await eventually(() => received.get(tagOf(line, protocol))?.close !== undefined, 'its close');
  }
  return { seen, received: lane.origin.received.get(tagOf(line, protocol)), bytes: lane.origin.bytes() };
}

/** A body, its encoding undone as far as can be. */
function decoded({ fields, body }: Seen | Received): Buffer {
  if (!JSON.stringify(fields).includes('gzip')) return body;
  try {
    return gunzipSync(body);
  } catch {
    return body;
  }
}

/** Text of all an end got, encodings undone. */
function words(got: Seen | Received | undefined): string {
  if (got === undefined) return '';
  const { messages, trailers, fields } = got;
  const target = 'target' in got ? got.target : '';
  const text = decoded(got).toString('latin1');
  return [target, JSON.stringify(fields), text, JSON.stringify(trailers), ...messages].join('\n');
}

/** What two lanes have in common when nothing was changed: their ports differ, and the keys of WebSockets. */
function comparable<T extends Seen | Received>(
  got: T | undefined,
  lane: Lane,
  protocol: Protocol,
  undone: boolean,
): unknown {
  if (got === undefined) return undefined;
  const text = JSON.stringify({ ...got, body: (undone ? decoded(got) : got.body).toString('latin1') });
  const key = /("Sec-WebSocket-Key",)"[^"]+"/;
  return JSON.parse(text.replaceAll(`localhost:${portOf(lane, protocol)}`, 'localhost').replace(key, '$1"key"'));
}

function assertOutcome(
  outcome: Outcome,
  line: Case,
  protocol: Protocol,
  lane: Watched,
  straight: Lane,
  got: Got,
  direct: Got,
): void {
  const forms = line.forms ?? [SECRET];
  const same = (end: 'received' | 'seen', undone = false): void => {
    const [is, should] = [
      comparable(got[end], lane, protocol, undone),
      comparable(direct[end], straight, protocol, undone),
    ];
    assert.deepEqual(is, should, end);
    assert.deepEqual(got.bytes, direct.bytes);
  };
  const gone = (text: string): void => {
    for (const form of forms)
      assert.ok(!text.includes(form.slice(4)), `the secret is still there: ${text.slice(0, 600)}`);
  };
  if (outcome === 'as-is') {
    same('received');
    same('seen');
  } else if (outcome === 're-encoded') {
    same('received', true);
    same('seen', true);
  } else if (outcome === 'request-label') {
    gone(words(got.received));
    assert.match(words(got.received), /_REDACTED|\*{8}/);
    assert.equal(got.received?.complete, true);
    assert.deepEqual([got.seen.status, got.seen.broken], [direct.seen.status, false]);
  } else if (outcome === 'response-label') {
    same('received');
    gone(words(got.seen));
    assert.match(words(got.seen), /_REDACTED|\*{8}/);
    const count = got.seen.fields['x-strathon-redacted'] ?? got.seen.trailers['x-strathon-redacted'];
    const counted = isSocket(protocol) ? undefined : line.counted?.toString();
    assert.equal(count, counted, 'X-Strathon-Redacted');
    assert.deepEqual(
      [got.seen.status, got.seen.broken, got.seen.close],
      [direct.seen.status, false, direct.seen.close],
    );
  } else if (outcome === 'answer-refused') {
    same('received');
    gone(words(got.seen));
    const { broken, status, trailers } = got.seen;
    assert.equal(broken, false);
    if (protocol === 'grpc') assert.equal(got.seen.fields['grpc-status'] ?? trailers['grpc-status'], '7');
    else if (protocol !== 'sse') assert.equal(status, 403);
  } else if (outcome === 'closed') {
    gone(words(got.received));
    assert.deepEqual([got.seen.close, got.received?.close], [1008, 1008]);
  } else {
    gone(words(got.received));
    assert.notEqual(got.received?.complete, true, 'the origin has it');
    if (outcome === 'cut') {
      assert.equal(got.seen.broken, true);
      assert.equal(got.bytes.length, 0);
      return;
    }
    // A gRPC client reads neither the status of HTTP nor its body; PERMISSION_DENIED is 7.
    const { fields, status } = got.seen;
    if (protocol === 'grpc') assert.match(`${fields['grpc-status']} ${fields['grpc-message']}`, /^7 Blocked by Weir: /);
    else assert.equal(status, 403, words(got.seen));
    assert.equal(got.seen.fields['x-strathon-block-reason'], line.reason);
    gone(words(got.seen));
    assert.equal(got.bytes.length, 0);
  }
}

interface Row {
  readonly id: string;
  readonly host: string;
  readonly path: string | null;
  readonly mode: string;
  readonly verdict: string;
  readonly action: string;
  readonly would: string;
  readonly rules: readonly string[];
}

/** All rows, as soon as everything begun is closed, in the store and exported. */
async function rowsOf({ weir, otlp }: Watched): Promise<readonly Row[]> {
  return eventually(async () => {
    if ((await weir.status()).open > 0) return false;
    const rows = (await weir.query(
      'SELECT id, host, path, mode, verdict, action, would, rules FROM exchanges',
    )) as unknown as Row[];
    const told = new Set(otlp.spans.map(({ attributes }) => attributes['weir.exchange.id']));
    return rows.every(({ id }) => told.has(id)) && rows;
  }, 'rows and spans of everything');
}

/** Whether a row is of a cell: by its path, and where bytes have none by its host. */
function isOf({ host, path }: Row, line: Case, protocol: Protocol): boolean {
  if (!isTunnel(protocol)) return new RegExp(`^/${tagOf(line, protocol)}(?:[/?]|$)`).test(path ?? '');
  if ((path ?? '') !== '') return false;
  // What stands in for a secret in a host name is different in every state directory.
  if (line.name === 'host') return new RegExp(`^redacted-\\w+\\.${DOMAIN[protocol]}$`).test(host);
  return host === (line.internal === true ? 'localhost' : asking(line, protocol).host);
}

/** product.md §3: what a mode makes of a verdict, when that is what became of it. */
function expected(verdict: Case['verdict'], outcome: Outcome): { readonly action: string; readonly would: string } {
  const stopped = outcome === 'refused' || outcome === 'answer-refused' || outcome === 'closed' || outcome === 'cut';
  if (stopped) return { action: 'block', would: 'none' };
  const asks = verdict === 'block' || verdict === 'redact' ? verdict : 'none';
  const labelled = outcome === 'request-label' || outcome === 'response-label';
  if (labelled) return { action: 'redact', would: verdict === 'block' ? 'block' : 'none' };
  return { action: 'forward', would: asks };
}

const CELLS = TABLE.flatMap((line) => line.protocols.map((protocol) => ({ line, protocol })));

describe('parity: the same verdict in every protocol and mode, and what becomes of it', { timeout: 240_000 }, () => {
  let scene: Scene;
  before(async () => {
    scene = await openScene();
    // First contacts of agents and hosts are findings of their own.
    for (const lane of scene.lanes) {
      for (const protocol of Object.keys(DOMAIN) as Protocol[]) {
        for (const agent of ['researcher', 'careful']) {
          const line: Case = {
            name: `first-${agent}`,
            protocols: [],
            verdict: 'allow',
            redact: 'as-is',
            enforce: 'as-is',
            ask: () => ({ agent: isTunnel(protocol) ? 'tunneller' : agent }),
          };
          await play(lane, line, protocol);
        }
      }
    }
  });
  after(() => scene?.close());

  for (const { line, protocol } of CELLS) {
    it(`${line.name} (${protocol})`, async () => {
      const { direct, lanes } = scene;
      const [straight, ...all] = await Promise.all([direct, ...lanes].map((lane) => play(lane, line, protocol)));
      for (const [i, lane] of lanes.entries()) {
        const outcome = lane.mode === 'monitor' ? 'as-is' : line[lane.mode];
        try {
          assertOutcome(outcome, line, protocol, lane, direct, all[i] as Got, straight as Got);
        } catch (error) {
          (error as Error).message = `${lane.mode}, ${outcome}: ${(error as Error).message}`;
          throw error;
        }
      }
    });
  }

  for (const mode of MODES) {
    it(`rows and spans say so (${mode})`, async () => {
      const lane = scene.lanes.find((one) => one.mode === mode) as Watched;
      const rows = await rowsOf(lane);
      const wrong: string[] = [];
      for (const { line, protocol } of CELLS) {
        const mine = rows.filter((row) => isOf(row, line, protocol));
        const outcome = mode === 'monitor' ? 'as-is' : line[mode];
        const { action, would } = expected(line.verdict, outcome);
        const should = [mode, line.verdict, action, would, line.rule ?? ''].join(' ');
        const said = mine.map((row) =>
          [
            row.mode,
            row.verdict,
            row.action,
            row.would,
            line.rule !== undefined && row.rules.includes(line.rule) ? line.rule : '',
          ].join(' '),
        );
        if (said.length === 0) wrong.push(`${line.name} (${protocol}): no row`);
        for (const one of said) if (one !== should) wrong.push(`${line.name} (${protocol}): ${one}, not ${should}`);
        for (const row of mine) {
          const span = lane.otlp.spans.find(({ attributes }) => attributes['weir.exchange.id'] === row.id)?.attributes;
          const told = ['verdict', 'action', 'would'].map((name) => span?.[`weir.${name}`]);
          const written = [row.verdict, row.action, row.would];
          if (told.join() !== written.join()) wrong.push(`${line.name} (${protocol}): span ${told}, row ${written}`);
        }
      }
      assert.deepEqual(wrong, []);
    });
  }

  it('no verdict depends on the mode', async () => {
    const [monitor, ...others] = await Promise.all(scene.lanes.map(rowsOf));
    for (const { line, protocol } of CELLS) {
      const verdicts = (rows: readonly Row[]): string =>
        [...new Set(rows.filter((row) => isOf(row, line, protocol)).map(({ verdict }) => verdict))].join();
      for (const rows of others) assert.equal(verdicts(rows), verdicts(monitor as Row[]), tagOf(line, protocol));
    }
  });

  it('no row, span, log or answer tells a secret', async () => {
    for (const { weir, otlp } of scene.lanes) {
      for (const place of [
        await weir.query('SELECT * FROM exchanges'),
        await weir.query('SELECT * FROM findings'),
        otlp.bodies,
        weir.logs(),
      ]) {
        const text = JSON.stringify(place);
        for (const secret of [SECRET.slice(4, 20), HOST_SECRET])
          assert.ok(!text.toLowerCase().includes(secret.toLowerCase()));
      }
    }
  });
});
