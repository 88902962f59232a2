import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { referenceEntries } from '../../src/config/reference.ts';
import { configOf, EXAMPLES, example, unknownCommands } from '../support/examples.ts';
import { weir } from '../unit/cli/world.ts';

/** The right column of every table, code spans only: what is said of Weir. */
const ours = example('migrate', 'README.md')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split(/(?<!\\)\|/)[2] ?? '')
  .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll('\\|', '|')));

describe('examples/migrate', () => {
  it('every key of the configuration it names is one', () => {
    const known = new Set(referenceEntries().map(({ key }) => key.replace('<agent>', '<name>')));
    const keys = ours.filter((code) => /^[a-z_]+(\.[a-z_<>]+)+$/.test(code) && !code.startsWith('weir.'));
    assert.ok(keys.length > 30, String(keys.length));
    assert.deepEqual(
      keys.filter((key) => !known.has(key)),
      [],
    );
  });

  it('every setting it writes out loads', async () => {
    const settings = ours.filter((code) => /^[a-z_.]+: /.test(code));
    assert.ok(settings.length >= 7);
    for (const setting of settings) {
      const [path = '', value = ''] = setting.split(/: (.*)/);
      const yaml = path.split('.').reduceRight((inner, key) => `{${key}: ${inner}}`, value);
      await assert.doesNotReject(configOf(yaml), setting);
    }
  });

  it('every command it names is one', async () => {
    const commands = ours.filter((code) => /\bweir [a-z]/.test(code));
    assert.ok(commands.length > 20);
    assert.deepEqual(await unknownCommands(commands.map((code) => code.replace(/^.*\| /, ''))), []);
  });

  it("Strathon's export is a policy file as it is", async () => {
    const file = join(EXAMPLES, 'migrate/strathon.json');
    const checked = await weir(['policy', 'check', file], { HOME: '/nonexistent' });
    assert.equal(checked.code, 0, checked.err);
    assert.match(checked.out, /^3 policies, no mistakes/m);
    const listed = await weir(['policy', 'list', file, '--json'], { HOME: '/nonexistent' });
    const policies = JSON.parse(listed.out) as { name: string; action: string; shadow: boolean }[];
    assert.deepEqual(
      policies.map(({ name, action, shadow }) => [name, action, shadow]),
      [
        ['no-deletes', 'block', false],
        ['slow-down-search', 'throttle', false],
        ['uploads-are-seen', 'require_approval', true],
      ],
    );
  });
});
