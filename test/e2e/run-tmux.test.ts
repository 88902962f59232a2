import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { has, openPlace } from '../support/runs.ts';
import { cleanEnv, eventually } from '../support/weir.ts';

const missing = ['tmux', 'vim'].filter((tool) => !has(tool, tool === 'tmux' ? '-V' : '--version'));
const skip = missing.length > 0 && `needs ${missing.join(' and ')}`;

/** A terminal of 80 × 24 in a tmux server of its own. */
function terminal(name: string) {
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-L', name, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      env: cleanEnv({ TERM: 'xterm' }),
    });
  return {
    start: (argv: readonly string[]) =>
      tmux('new-session', '-d', '-x', '80', '-y', '24', ...argv, ';', 'set-option', 'remain-on-exit', 'on'),
    keys: (...keys: string[]) => tmux('send-keys', ...keys),
    resize: (width: number, height: number) => tmux('resize-window', '-x', String(width), '-y', String(height)),
    screen: () => tmux('capture-pane', '-p'),
    /** With what has scrolled away, wrapped lines joined. */
    everything: () => tmux('capture-pane', '-p', '-J', '-S', '-'),
    close: () => {
      try {
        tmux('kill-server');
      } catch {
        // It has ended with its last window.
      }
    },
  };
}

test('an editor under tmux shows the same screens through weir run, also when the window changes', {
  skip,
}, async (t) => {
  const place = await openPlace();
  t.after(() => place.close());
  const file = join(place.directory, 'text.txt');
  writeFileSync(file, Array.from({ length: 60 }, (_, i) => `line ${i} of the text\n`).join(''));
  const vim = ['vim', '-u', 'NONE', '-i', 'NONE', '-n', file];
  const seen = async (argv: readonly string[], name: string): Promise<string[]> => {
    const screen = terminal(`weir-test-${process.pid}-${name}`);
    t.after(screen.close);
    screen.start(argv);
    const screens: string[] = [];
    const shows = async (text: string): Promise<void> => {
      let before = '';
      // Twice the same: nothing is being drawn any more.
      const settled = (): boolean => {
        const now = screen.screen();
        const same = now === before;
        before = now;
        return same && now.includes(text);
      };
      await eventually(settled, `${name}: ${text}`, 30_000);
      screens.push(before);
    };
    await shows('line 22 of');
    screen.keys('4', '0', 'G', 'z', 't');
    await shows('line 59 of');
    screen.keys('i', 'new words', 'Escape');
    await shows('new words');
    screen.resize(100, 30);
    screen.keys('g', 'g');
    await shows('line 28 of');
    screen.keys(':q!', 'Enter');
    await eventually(() => !screen.screen().includes('line 28 of'), `${name}: the editor is gone`, 30_000);
    await eventually(() => name === 'direct' || screen.screen().includes('exit 0'), `${name}: the receipt`, 30_000);
    screens.push(screen.everything());
    return screens;
  };
  const direct = await seen(vim, 'direct');
  const through = await seen([process.execPath, ...place.argv(vim, ['--no-color'])], 'through');
  assert.deepEqual(through.slice(0, -1), direct.slice(0, -1));
  assert.match(through.at(-1) ?? '', /^weir {2}vim → 127\.0\.0\.1:\d+ [^\n]*\nweir {2}vim {2}[^\n]*exit 0/m);
});
