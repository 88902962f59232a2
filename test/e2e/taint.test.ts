import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Canaries } from '../support/canary.ts';
import { openRecorded, type Recorded, settled } from '../support/recorded.ts';
import {
  type Answered,
  LANES,
  sweep,
  taintHttp2,
  taintResponses,
  taintTls,
  taintWebSocket,
} from '../support/taint-lanes.ts';
import { ask } from '../support/watched.ts';

/** Every regular file below a directory, as latin1 text. */
function filesBelow(directory: string): [string, string][] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).flatMap((name): [string, string][] => {
    const path = join(directory, name);
    return statSync(path).isFile() ? [[name, readFileSync(path, 'latin1')]] : [];
  });
}

/** An innocent word that must be found: a search in nothing would find no canary either. */
const CONTROL = 'innocent-control-word';

/** Where to look, and what must be there. */
const HAYSTACKS: readonly (readonly [string, string?])[] = [
  ['exported', CONTROL],
  ['state/journal/', CONTROL],
  ['state/weir.duckdb', 'schema_version'],
  ['state/'],
  ['rows of exchanges', CONTROL],
  ['rows of', 'agent-first-seen'],
  ['weir logs', CONTROL],
  ['weir status', 'tainted'],
  ['weir baseline', 'plain.test'],
  ['weir policy', 'plain.test'],
  ['/metrics', 'weir_up 1'],
  ['the log', 'stopping'],
];

for (const format of ['json', 'human'] as const) {
  describe(`taint: no secret leaves by any way (${format} log)`, () => {
    let house: Recorded;
    const canaries = new Canaries();
    const answers: Answered[] = [];
    const texts = new Map<string, string>();
    before(async () => {
      house = await openRecorded(
        {
          agents: {
            enforced: { mode: 'enforce', allowed_domains: ['elsewhere.test'] },
            listed: { allowed_domains: ['elsewhere.test'], mode: 'enforce', token: 'a-token-of-the-agent' },
          },
        },
        { args: ['--log-format', format, '--log-level', 'debug'] },
      );
      await ask(house.weir.port, 'control', `http://plain.test/${CONTROL}`);
      const waiting = [...LANES];
      const work = async (): Promise<void> => {
        for (let lane = waiting.shift(); lane !== undefined; lane = waiting.shift()) {
          answers.push(...(await sweep(house, canaries, lane)));
        }
      };
      await Promise.all([work(), work(), work(), work()]);
      await taintTls(house, canaries);
      await taintHttp2(house, canaries);
      await taintWebSocket(house, canaries);
      await taintResponses(house, canaries);
      await settled(house.weir, 15_000);
      await gather(house, texts);
      house.weir.kill('SIGTERM');
      await house.weir.exited;
      texts.set('the log', house.weir.logs());
      for (const [name, text] of filesBelow(house.weir.stateDir)) texts.set(`state/${name}`, text);
    });
    after(() => house?.close());

    it('what was sent did arrive', () => {
      const origin = [...house.origin.seen, ...house.origin.heads.flat(), JSON.stringify(house.h2.logs)].join('\n');
      const arrived = canaries.findIn(origin).length;
      assert.ok(arrived > 100, `${arrived} canaries reached an origin`);
      assert.ok(canaries.all.length > 500, `${canaries.all.length} canaries`);
    });

    for (const [what, control] of HAYSTACKS) {
      it(what, () => {
        const hay = [...texts].filter(([name]) => name.startsWith(what));
        assert.ok(hay.length > 0, 'there is something to search');
        const all = hay.map(([, text]) => text).join('\n');
        if (control !== undefined) assert.ok(all.includes(control), `it holds ${control}`);
        assert.deepEqual(canaries.findIn(all), []);
      });
    }

    it('answers of Weir name no credential', () => {
      const ours = answers.filter(({ text }) => /\r\nx-weir-(ref|error):/.test(text));
      assert.ok(ours.length > 100, `${ours.length} answers of ours`);
      const found = ours.flatMap(({ lane, position, text }) =>
        canaries.findIn(text, ({ kind }) => kind === 'credential').map((hit) => `${lane}, ${position} → ${hit}`),
      );
      assert.deepEqual(found, []);
    });
  });
}

async function gather(house: Recorded, texts: Map<string, string>): Promise<void> {
  const { weir, otlp } = house;
  texts.set('exported', otlp.bodies.join('\n'));
  const tables = ['exchanges', 'connections', 'findings', 'destinations', 'agents', 'audit', 'accounts', 'runs'];
  const rows = await Promise.all(tables.map((table) => weir.query(`SELECT * FROM ${table}`)));
  for (const [index, table] of tables.entries()) texts.set(`rows of ${table}`, JSON.stringify(rows[index]));
  const commands = [['logs', '-n', '5000'], ['status'], ['baseline', 'show'], ['policy', 'suggest']].flatMap((args) => [
    args,
    [...args, '--json'],
  ]);
  const outputs = await Promise.all(commands.map((args) => weir.cli(args)));
  for (const [index, { stdout, stderr }] of outputs.entries()) {
    texts.set(`weir ${(commands[index] ?? []).join(' ')}`, stdout + stderr);
  }
  texts.set('/metrics', (await weir.admin('/metrics')).body);
}
