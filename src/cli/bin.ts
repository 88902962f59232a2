#!/usr/bin/env node
// The compiled file must parse and run on old Node versions (12.20 and later): no new syntax, nothing static but builtins.
import { existsSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const wanted = 24;
const running = Number(process.versions.node.split('.')[0]);

if (running < wanted) {
  const checkout = existsSync(new URL('../../src/cli/main.ts', import.meta.url));
  const here = process.argv.slice(2).join(' ');
  const advice = checkout
    ? `In this checkout run it as: npm run -s weir -- ${here}`
    : `Node ${wanted} or newer is needed: https://nodejs.org, or once: npx -p node@${wanted} node ${process.argv[1]} ${here}`;
  process.stderr.write(`weir: this is Node ${process.versions.node}. ${advice.trim()}\n`);
  process.exitCode = 1;
} else {
  // A plain Node opens a debugger on SIGUSR1: any process of the same user could then read everything (threat model).
  process.on('SIGUSR1', () => {});
  keepCompiledCode();
  import('./main.ts').then(
    (main) => main.main(),
    (error) => {
      process.stderr.write(`weir: cannot start: ${error.message}\n`);
      process.exitCode = 1;
    },
  );
}

// Saves a third of the start time. Not in the default place below /tmp: whoever makes that directory first could put code
// into it. Made here, one level at a time: the recursive mkdir inside enableCompileCache never returns below /proc.
function keepCompiledCode() {
  try {
    const directory = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weir');
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
    module.enableCompileCache(directory);
  } catch {
    // No home, or a read-only one: only slower.
  }
}
