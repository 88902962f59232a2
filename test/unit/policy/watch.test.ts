import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { watchFiles } from '../../../src/collector-policy-watch.ts';
import { eventually } from '../../support/weir.ts';

describe('watching policy files', () => {
  let dir = '';
  let stop: () => void = () => undefined;
  let changes = 0;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'weir-watch-'));
    changes = 0;
  });
  afterEach(() => {
    stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const watched = (file: string): void => {
    stop = watchFiles([join(dir, file)], () => changes++);
  };
  const seen = (count: number) => eventually(() => changes === count, `${count} changes`, 8_000);

  it('a write, a replacement, a file that comes', async () => {
    writeFileSync(join(dir, 'p.yaml'), 'a');
    watched('p.yaml');
    writeFileSync(join(dir, 'p.yaml'), 'ab');
    await seen(1);
    writeFileSync(join(dir, 'p.yaml.new'), 'abc');
    renameSync(join(dir, 'p.yaml.new'), join(dir, 'p.yaml'));
    await seen(2);
    unlinkSync(join(dir, 'p.yaml'));
    await seen(3);
    writeFileSync(join(dir, 'p.yaml'), 'abcd');
    await seen(4);
  });

  it('a link that is pointed elsewhere, as a mounted ConfigMap does it', async () => {
    writeFileSync(join(dir, 'one'), '1');
    writeFileSync(join(dir, 'two'), '22');
    symlinkSync(join(dir, 'one'), join(dir, 'p.yaml'));
    watched('p.yaml');
    symlinkSync(join(dir, 'two'), join(dir, 'next'));
    renameSync(join(dir, 'next'), join(dir, 'p.yaml'));
    await seen(1);
  });

  it('one that cannot be looked at is in a state as well: nothing is thrown where nobody catches', async () => {
    symlinkSync(join(dir, 'p.yaml'), join(dir, 'p.yaml'));
    watched('p.yaml');
    unlinkSync(join(dir, 'p.yaml'));
    await seen(1);
    writeFileSync(join(dir, 'p.yaml'), 'a');
    await seen(2);
  });

  it('what others write beside it, all the time, neither wakes nor delays anything', async () => {
    writeFileSync(join(dir, 'p.yaml'), 'a');
    watched('p.yaml');
    let n = 0;
    const busy = setInterval(() => writeFileSync(join(dir, 'log'), String(n++)), 20);
    try {
      await eventually(() => n > 20, 'the neighbour writes');
      assert.equal(changes, 0);
      writeFileSync(join(dir, 'p.yaml'), 'ab');
      await seen(1);
    } finally {
      clearInterval(busy);
    }
  });
});
