import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { printable } from '../model/printable.ts';

/** The processes that come from one, as far as `/proc` tells: children of every thread, and what they left behind. */
export interface ProcessTree {
  /** Living members after the last look. */
  members(): ReadonlySet<number>;
  /** Looks for new children; `full` asks every thread, else the main ones only, where nearly all children are made. */
  walk(full: boolean): void;
  /** Looks through all processes for members whose parent has gone. */
  findOrphans(): void;
}

interface Stat {
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly start: number;
}

/** Ids of sessions and process groups outlive their leader, so members are remembered; this many at most. */
const REMEMBERED = 10_000;

/**
 * A process that lost its parent is told by: its session or process group was made by a member; it is in the root's
 * group without being a neighbour there (a pipeline); or its environment holds `mark`. `proc` is `/proc`.
 */
export function processTree(proc: string, rootPid: number, mark: string | undefined): ProcessTree {
  const living = new Set([rootPid]);
  const seen = new Set([rootPid]);
  const strangers = new Set<number>();
  const root = statOf(proc, rootPid);

  const add = (pid: number): void => {
    living.add(pid);
    if (seen.size < REMEMBERED) seen.add(pid);
  };
  /** A living process of that number that is no member took the number over: then the id says nothing. */
  const isOurs = (id: number): boolean => seen.has(id) && (living.has(id) || statOf(proc, id) === undefined);
  const isOrphanOfRoot = (stat: Stat): boolean => {
    if (root === undefined || stat.group !== root.group || stat.session !== root.session) return false;
    // The reaper lives in another session, or is whoever started the root; the shell of a pipeline lives in ours.
    return stat.parent === root.parent || statOf(proc, stat.parent)?.session !== root.session;
  };
  const belongs = (pid: number, stat: Stat): boolean => {
    if (root !== undefined && stat.start < root.start) return false;
    if (living.has(stat.parent) || isOurs(stat.group) || isOurs(stat.session)) return true;
    return isOrphanOfRoot(stat) || (mark !== undefined && environmentHolds(proc, pid, mark));
  };

  const walk = (full: boolean): void => {
    // A set hands out what is added while it is walked through: grandchildren come in the same walk.
    for (const pid of living) {
      const children = childrenOf(proc, pid, full);
      if (children === undefined) living.delete(pid);
      else for (const child of children) add(child);
    }
  };
  const findOrphans = (): void => {
    const pids = numbered(proc);
    for (const pid of strangers) if (!pids.has(pid)) strangers.delete(pid);
    for (const pid of pids) {
      if (living.has(pid) || strangers.has(pid) || pid === process.pid) continue;
      const stat = statOf(proc, pid);
      if (stat === undefined) continue;
      if (belongs(pid, stat)) add(pid);
      else strangers.add(pid);
    }
  };
  return { members: () => living, walk, findOrphans };
}

/** Undefined when the process has gone. */
function childrenOf(proc: string, pid: number, full: boolean): number[] | undefined {
  const tasks = full ? numbered(`${proc}/${pid}/task`) : [pid];
  let alive = false;
  const children: number[] = [];
  for (const task of tasks) {
    try {
      const text = readFileSync(`${proc}/${pid}/task/${task}/children`, 'latin1');
      alive = true;
      for (const word of text.split(' ')) if (word !== '') children.push(Number(word));
    } catch {
      // The thread ended meanwhile.
    }
  }
  return alive ? children : undefined;
}

function numbered(directory: string): Set<number> {
  try {
    return new Set(
      readdirSync(directory)
        .filter((name) => /^\d+$/.test(name))
        .map(Number),
    );
  } catch {
    return new Set();
  }
}

/** proc_pid_stat(5): after the command in parentheses, which may hold anything, state, ppid, pgrp, session … starttime. */
function statOf(proc: string, pid: number): Stat | undefined {
  try {
    const text = readFileSync(`${proc}/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [parent, group, session, start] = [fields[1], fields[2], fields[3], fields[19]].map(Number);
    return { parent: parent ?? 0, group: group ?? 0, session: session ?? 0, start: start ?? 0 };
  } catch {
    return undefined;
  }
}

function environmentHolds(proc: string, pid: number, mark: string): boolean {
  try {
    return readFileSync(`${proc}/${pid}/environ`, 'utf8').includes(mark);
  } catch {
    return false;
  }
}

/** Sockets of a process as last read. */
export interface OpenSockets {
  readonly inodes: readonly string[];
  /** What the process had done by then; undefined = cannot be told here. */
  readonly ran: string | undefined;
}

/**
 * Inodes of the sockets a process has open; `last` again when nothing shows that it was awake since and `fresh` is not
 * asked for. A thread may all the same have closed one and opened another, so ask for fresh ones now and then. Empty when
 * the process may not be looked at (another user's).
 */
export function openSockets(proc: string, pid: number, last: OpenSockets | undefined, fresh: boolean): OpenSockets {
  const ran = activity(proc, pid);
  if (last !== undefined && !fresh && ran !== undefined && ran === last.ran) return last;
  return { inodes: socketInodes(proc, pid), ran };
}

/**
 * Nanoseconds the first thread was on a CPU (schedstat), reads and writes of all threads (io, proc_pid_io(5)), number of
 * descriptors (the directory's size since Linux 6.2).
 */
function activity(proc: string, pid: number): string | undefined {
  try {
    const time = readFileSync(`${proc}/${pid}/schedstat`, 'latin1').trim();
    const { size } = statSync(`${proc}/${pid}/fd`);
    // Zero: this kernel does not count.
    if (size === 0 || time.startsWith('0 ')) return undefined;
    return `${time} ${size} ${readFileSync(`${proc}/${pid}/io`, 'latin1')}`;
  } catch {
    return undefined;
  }
}

function socketInodes(proc: string, pid: number): string[] {
  const inodes: string[] = [];
  let descriptors: string[];
  try {
    descriptors = readdirSync(`${proc}/${pid}/fd`);
  } catch {
    return inodes;
  }
  for (const descriptor of descriptors) {
    try {
      const target = readlinkSync(`${proc}/${pid}/fd/${descriptor}`);
      if (target.startsWith('socket:[')) inodes.push(target.slice(8, -1));
    } catch {
      // Closed meanwhile.
    }
  }
  return inodes;
}

/** Identifies the network namespace; undefined when the process has gone or may not be looked at. */
export function networkNamespace(proc: string, pid: number): string | undefined {
  try {
    return readlinkSync(`${proc}/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** The program's name for people. */
export function programName(proc: string, pid: number): string {
  try {
    const name = readFileSync(`${proc}/${pid}/comm`, 'utf8').trim();
    // Node 24 names its first thread so, and programs that set no title of their own would all be called that.
    const shown = name === 'MainThread' ? basename(readlinkSync(`${proc}/${pid}/exe`)) : name;
    return printable(shown, 64) || 'unknown';
  } catch {
    return 'unknown';
  }
}
