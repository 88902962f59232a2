import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onTerminal, type PtyStep } from '../support/pty.ts';
import { has, node, openPlace, type RunPlace } from '../support/runs.ts';

const skip = !has('python3', '-c', 'import pty') && 'needs python3 for a pseudo terminal';
const linux = skip || (process.platform !== 'linux' && 'needs procfs');

let place: RunPlace;

before(async () => {
  place = await openPlace();
});

after(() => place.close());

function session(program: string, steps: readonly PtyStep[]) {
  return onTerminal([process.execPath, ...place.argv(node(program), ['--agent', 'tui', '--no-color'])], steps);
}

/** Signal numbers are the same on every system this is tested on. */
const SIGINT = 'signal 2';

test('a full-screen program has the terminal to itself between the first line and the receipt', { skip }, async () => {
  // Alternate screen, raw mode, cursor addressing, a redraw on every tick; long enough for several signs of life.
  const screen = [
    '\u001b[?1049h\u001b[2J',
    ...Array.from({ length: 60 }, (_, i) => `\u001b[${(i % 20) + 1};3Hrow ${i}`),
    '\u001b[?1049l',
  ];
  const program = `
    process.stdin.setRawMode(true);
    const frames = ${JSON.stringify(screen)};
    const draw = setInterval(() => {
      const frame = frames.shift();
      if (frame !== undefined) process.stdout.write(frame);
      else { clearInterval(draw); process.stdin.setRawMode(false); process.exit(4); }
    }, 100);`;
  const { output, status } = await session(program, [{ expect: 'row 59' }]);
  assert.equal(status, 'exit 4');
  const drawn = screen.join('');
  const [head = '', tail = ''] = output.split(drawn);
  assert.equal(output, head + drawn + tail, JSON.stringify(output));
  assert.match(head, /^weir {2}tui → 127\.0\.0\.1:\d+ · [^\r\n]*\r\n$/);
  assert.match(tail, /^weir {2}tui [\s\S]*exit 4[\s\S]*\r\n$/);
});

test('Ctrl-C is the command’s: it may stay, or end as it likes', { skip }, async () => {
  const program = `
    let pressed = 0;
    process.on('SIGINT', () => { pressed++; console.log('pressed ' + pressed); if (pressed === 2) process.exit(7); });
    console.log('ready'); setInterval(() => {}, 1000);`;
  const { output, status } = await session(program, [
    { expect: 'ready' },
    { send: '\u0003' },
    { expect: 'pressed 1' },
    { send: '\u0003' },
    { expect: 'pressed 2' },
  ]);
  assert.equal(status, 'exit 7');
  assert.match(output, /exit 7/);
});

test('a command that dies of Ctrl-C lets the shell see just that, after the receipt', { skip }, async () => {
  const program = 'console.log("ready"); setInterval(() => {}, 1000);';
  const { output, status } = await session(program, [{ expect: 'ready' }, { send: '\u0003' }]);
  assert.equal(status, SIGINT);
  assert.match(output, /weir {2}tui [\s\S]*SIGINT/);
});

test('Ctrl-Z stops command and run together, fg continues both', { skip }, async () => {
  const program = `
    process.on('SIGCONT', () => { console.log('again'); process.exit(5); });
    console.log('ready'); setInterval(() => {}, 1000);`;
  const { status } = await session(program, [
    { expect: 'ready' },
    { send: '\u001a' },
    { stopped: true },
    { fg: true },
    { expect: 'again' },
  ]);
  assert.equal(status, 'exit 5');
});

test('a program that stops only itself gives the shell back its prompt', { skip: linux }, async () => {
  const program = `
    process.on('SIGCONT', () => { console.log('again'); process.exit(6); });
    console.log('ready'); setTimeout(() => process.kill(process.pid, 'SIGSTOP'), 300); setInterval(() => {}, 1000);`;
  const { status } = await session(program, [
    { expect: 'ready' },
    { stopped: true },
    { fg: true },
    { expect: 'again' },
  ]);
  assert.equal(status, 'exit 6');
});
