import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface FakeProcess {
  readonly pid: number;
  readonly comm?: string;
  readonly exe?: string;
  readonly parent?: number;
  readonly group?: number;
  readonly session?: number;
  readonly start?: number;
  /** By thread id; the main thread is `pid`. */
  readonly children?: Readonly<Record<number, readonly number[]>>;
  readonly sockets?: readonly number[];
  readonly namespace?: string;
  readonly environ?: string;
  /** File name → lines as `line` makes them, for the whole namespace; it keeps them until others are put. */
  readonly net?: Readonly<Record<string, readonly string[]>>;
}

/** A directory that looks like `/proc` to whoever reads only what the watch reads. */
export function fakeProc() {
  const proc = mkdtempSync(join(tmpdir(), 'weir-proc-'));
  const remove = (pid: number): void => rmSync(join(proc, String(pid)), { recursive: true, force: true });
  const put = (one: FakeProcess): void => {
    remove(one.pid);
    const dir = join(proc, String(one.pid));
    for (const [thread, list] of Object.entries({ [one.pid]: [], ...one.children })) {
      mkdirSync(join(dir, 'task', thread), { recursive: true });
      writeFileSync(join(dir, 'task', thread, 'children'), list.map((pid) => `${pid} `).join(''));
    }
    for (const name of ['fd', 'ns']) mkdirSync(join(dir, name));
    for (const [at, inode] of (one.sockets ?? []).entries())
      symlinkSync(`socket:[${inode}]`, join(dir, 'fd', `${at + 3}`));
    symlinkSync('/dev/null', join(dir, 'fd', '0'));
    symlinkSync(`net:[${one.namespace ?? '1'}]`, join(dir, 'ns', 'net'));
    symlinkSync(one.exe ?? '/usr/bin/thing', join(dir, 'exe'));
    const { parent = 1, group = one.pid, session = one.pid, start = 100 } = one;
    const rest = [parent, group, session, ...Array(15).fill(0), start, 0, 0].join(' ');
    writeFileSync(join(dir, 'stat'), `${one.pid} (${one.comm ?? 'thing'}) S ${rest}\n`);
    writeFileSync(join(dir, 'comm'), `${one.comm ?? 'thing'}\n`);
    writeFileSync(join(dir, 'environ'), one.environ ?? '');
    // Its first thread seems asleep from one look to the next.
    writeFileSync(join(dir, 'schedstat'), '1000 0 1\n');
    writeFileSync(join(dir, 'io'), 'syscr: 1\n');
    const net = join(proc, `net of ${one.namespace ?? '1'}`);
    mkdirSync(net, { recursive: true });
    symlinkSync(net, join(dir, 'net'));
    for (const [file, entries] of Object.entries(one.net ?? {}))
      writeFileSync(join(net, file), ['  sl  local_address rem_address   st …', ...entries, ''].join('\n'));
  };
  return { proc, put, remove, end: () => rmSync(proc, { recursive: true, force: true }) };
}

/** A line of `/proc/<pid>/net/*` as a little-endian machine writes it; addresses as the hexadecimal words. */
export function line(local: string, remote: string, inode: number, state = '01'): string {
  return `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 20 4 30 10 -1`;
}
