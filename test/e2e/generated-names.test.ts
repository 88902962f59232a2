import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { plain } from '../support/agent.ts';
import { startWeir, type Weir } from '../support/weir.ts';

const HEX = createHash('sha256').update('what was stolen').digest('hex');
/** 64 computed characters over two labels: data on its way out. */
const CARRIER = `${HEX.slice(0, 32)}.${HEX.slice(32)}.evil.test`;
const NOTABLE = `${HEX.slice(0, 32)}.evil.test`;
const USUAL = 'd111abcdef8gh9.cloudfront.test';

describe('names that carry data', () => {
  let origin: Server;
  let weir: Weir;
  let reached: string[] = [];
  before(async () => {
    origin = createServer((request, response) => {
      reached.push(request.headers.host ?? '');
      response.end('ok');
    });
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
    const { port } = origin.address() as AddressInfo;
    weir = await startWeir({
      config: {
        upstream: { resolve: { '*.evil.test': `127.0.0.1:${port}`, '*.cloudfront.test': `127.0.0.1:${port}` } },
        agents: {
          strict: { mode: 'enforce' },
          listed: { mode: 'enforce', allowed_domains: ['*.evil.test'] },
        },
      },
    });
  });
  after(async () => {
    await weir?.stop();
    origin?.close();
  });

  const get = (agent: string, host: string, path = '/'): ReturnType<typeof plain> =>
    plain(weir, `http://${host}${path}`, { agent });

  it('are refused in enforce before anything is resolved, with a reason', async () => {
    reached = [];
    const answer = await get('strict', CARRIER);
    assert.equal(answer.status, 403);
    assert.equal(answer.headers['x-strathon-block-reason'], 'data-in-name');
    assert.match(answer.body, /looks like data on its way out/);
    assert.deepEqual(reached, []);
  });

  it('are told in monitor, and pass', async () => {
    reached = [];
    assert.equal((await get('researcher', CARRIER)).status, 200);
    assert.deepEqual(reached, [CARRIER]);
    const [line] = await weir.records('data-in-name', (one) => one.agent === 'researcher' && one.kind === 'exchange');
    assert.ok(line?.rules.includes('data-in-name'));
    assert.equal(line?.would, 'block');
    assert.equal(line?.action, 'forward');
  });

  it('pass when somebody put them on a list, are only flagged when they are short, and everyday names say nothing', async () => {
    assert.equal((await get('listed', CARRIER, '/listed')).status, 200);
    assert.equal((await get('strict', NOTABLE, '/short')).status, 200);
    assert.equal((await get('strict', USUAL, '/usual')).status, 200);
    const rulesOf = async (path: string): Promise<readonly string[]> => {
      const [line] = await weir.records(path, (one) => one.kind === 'exchange' && one.path === path);
      return line?.rules ?? [];
    };
    assert.ok((await rulesOf('/short')).includes('data-in-name'));
    assert.ok(!(await rulesOf('/usual')).includes('data-in-name'));
    assert.ok(!(await rulesOf('/listed')).includes('data-in-name'));
  });
});
