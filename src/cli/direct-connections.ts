import { accessSync, constants } from 'node:fs';
import { type NetFile, netSockets, unixSockets } from './direct-connections-net.ts';
import {
  networkNamespace,
  type OpenSockets,
  openSockets,
  type ProcessTree,
  processTree,
  programName,
} from './direct-connections-tree.ts';

/** Sockets of one program to one endpoint that do not end at Weir or on loopback. */
export interface DirectConnection {
  /** `comm` of the process that held the first of them, printable. */
  readonly program: string;
  readonly pid: number;
  /** IPv4-mapped IPv6 as IPv4; no brackets. */
  readonly address: string;
  readonly port: number;
  /** A connected UDP socket has a peer; whether it ever sent something cannot be seen. */
  readonly protocol: 'tcp' | 'udp';
  /** Distinct sockets seen. */
  readonly count: number;
  /** Epoch ms. */
  readonly firstSeenAt: number;
}

export interface WatchDirectOptions {
  /** The child of `weir run`; what it starts is watched too. */
  readonly rootPid: number;
  /** Weir's own listeners, as far as they are not on loopback (which is never reported). */
  readonly ours: (address: string, port: number) => boolean;
  /** Milliseconds between samples; 250. */
  readonly everyMs?: number;
  /** Once per program and endpoint, when it is first seen; how many there were says `stop`. */
  readonly onFound: (found: DirectConnection) => void;
  /** Text only this tree has in its environment (the proxy URL with its port): tells daemons that left the tree. */
  readonly mark?: string;
  /** Where procfs is mounted; `/proc`. */
  readonly proc?: string;
}

/** Whether direct connections can be seen here: Linux, with the files of proc(5) this is read from. */
export const canWatchDirect: boolean = process.platform === 'linux' && readableProc();

const EVERY_MS = 250;
/** Every thread is asked for its children in every fourth sample, else the main ones: nearly all are theirs. */
const FULL_EVERY = 4;
/** Share of one CPU this may take (product.md §9: < 1 %), and how much of it may be saved up (ms) for a busy moment. */
const SHARE = 0.009;
const SAVED_MS = 100;
/** Descriptors of a process that seems asleep are read in every fourth sample: a thread of it may be awake. */
const FRESH_EVERY = 4;
/** All processes are looked through for children without parents in every second sample. */
const ORPHANS_EVERY = 2;
/** Samples between lookups of a socket that stays in no table, at most: eight seconds. */
const MAX_WAIT = 32;
/** A port scan does not grow without end; what comes later is not reported. */
const MAX_ENDPOINTS = 1000;

/**
 * Samples the sockets of a process tree and reports connections around Weir. It proves that something went around, never
 * that nothing did: a socket that lives shorter than the sampling, an unconnected UDP or raw socket, and programs of
 * another user (sudo) stay unseen. What a thread other than the first opens in place of another socket, without reading
 * or writing, is seen within a second. Samples are left out while they would cost more than 0.9 % of a CPU, which a tree
 * that opens connections all the time can reach: a kernel with much memory needs milliseconds to list its sockets. Never
 * throws; where `canWatchDirect` is false it sees nothing. `stop` looks once more and may be called twice.
 */
export function watchDirect(options: WatchDirectOptions): { stop(): readonly DirectConnection[] } {
  const proc = options.proc ?? '/proc';
  if (!canWatchDirect && options.proc === undefined) return { stop: () => [] };
  const everyMs = options.everyMs ?? EVERY_MS;
  const watch = new Watch(options, proc);
  let credit = SAVED_MS;
  let last = performance.now();
  const tick = (): void => {
    const now = performance.now();
    credit = Math.min(SAVED_MS, credit + (now - last) * SHARE);
    last = now;
    if (credit <= 0) return;
    const before = process.threadCpuUsage();
    look(watch);
    const { user, system } = process.threadCpuUsage(before);
    credit -= (user + system) / 1000;
  };
  const timer = setInterval(tick, everyMs).unref();
  let stopped = false;
  return {
    stop: () => {
      clearInterval(timer);
      if (!stopped) look(watch, true);
      stopped = true;
      return watch.found();
    },
  };
}

/** Files of `/proc` vanish at any moment and are caught where they are read; this is for `ours`. */
function look(watch: Watch, last = false): void {
  try {
    watch.sample(last);
  } catch {
    // The next sample may do better; the child's run must not end for it.
  }
}

/** What is known of a socket some member holds. */
interface Known {
  /** Undefined: not to be looked up again, its peer (if any) is counted. */
  readonly due: number | undefined;
  /** Samples to the lookup after the next. */
  readonly wait: number;
  readonly udp: boolean;
  /** Endpoints counted for this socket; a UDP socket may change its peer. */
  readonly peers: Set<string>;
}

/** State of one watch, from the start to the end of a child. */
class Watch {
  readonly #options: WatchDirectOptions;
  readonly #proc: string;
  readonly #tree: ProcessTree;
  readonly #open = new Map<number, OpenSockets>();
  readonly #known = new Map<string, Known>();
  readonly #found = new Map<string, DirectConnection>();
  #samples = 0;

  constructor(options: WatchDirectOptions, proc: string) {
    this.#options = options;
    this.#proc = proc;
    this.#tree = processTree(proc, options.rootPid, options.mark);
  }

  found(): readonly DirectConnection[] {
    return [...this.#found.values()];
  }

  /** Descriptors first: a socket whose peer is known costs a look at its number, and the tables stay closed. */
  sample(last: boolean): void {
    this.#tree.walk(this.#samples % FULL_EVERY === 0);
    if (last || this.#samples % ORPHANS_EVERY === 0) this.#tree.findOrphans();
    this.#samples++;
    const holders = this.#holders(last);
    for (const inode of this.#known.keys()) if (!holders.has(inode)) this.#known.delete(inode);
    for (const pids of this.#namespaces(holders).values()) this.#lookUp(pids, holders);
  }

  /** Sockets of the tree, each with the first process that holds it. */
  #holders(last: boolean): Map<string, number> {
    const holders = new Map<string, number>();
    const fresh = last || this.#samples % FRESH_EVERY === 0;
    const members = this.#tree.members();
    for (const pid of this.#open.keys()) if (!members.has(pid)) this.#open.delete(pid);
    for (const pid of members) {
      const sockets = openSockets(this.#proc, pid, this.#open.get(pid), fresh);
      this.#open.set(pid, sockets);
      for (const inode of sockets.inodes) if (!holders.has(inode)) holders.set(inode, pid);
    }
    return holders;
  }

  #isDue(inode: string): boolean {
    const known = this.#known.get(inode);
    return known === undefined || (known.due !== undefined && known.due <= this.#samples);
  }

  /** Processes with sockets to look up, by network namespace. */
  #namespaces(holders: ReadonlyMap<string, number>): Map<string, Set<number>> {
    const due = new Set<number>();
    for (const [inode, pid] of holders) if (this.#isDue(inode)) due.add(pid);
    const namespaces = new Map<string, Set<number>>();
    for (const pid of due) {
      const namespace = networkNamespace(this.#proc, pid) ?? `of ${pid}`;
      const pids = namespaces.get(namespace);
      if (pids === undefined) namespaces.set(namespace, new Set([pid]));
      else pids.add(pid);
    }
    return namespaces;
  }

  /** The cheap tables first; a TCP table only for sockets that are in none of them. */
  #lookUp(pids: ReadonlySet<number>, holders: ReadonlyMap<string, number>): void {
    const wanted = new Set<string>();
    for (const [inode, pid] of holders) if (pids.has(pid) && this.#isDue(inode)) wanted.add(inode);
    const onlyUdp = (): boolean => [...wanted].every((inode) => this.#known.get(inode)?.udp);
    for (const file of ['udp', 'udp6'] as const) this.#readTable(file, pids, holders, wanted);
    if (!onlyUdp()) this.#dropUnix(pids, wanted);
    for (const file of ['tcp', 'tcp6'] as const) if (!onlyUdp()) this.#readTable(file, pids, holders, wanted);
    // In no table: not connected yet, or of a kind that never is (netlink). Asked again, less and less often.
    for (const inode of wanted) this.#postpone(inode);
  }

  #readTable(
    file: NetFile,
    pids: ReadonlySet<number>,
    holders: ReadonlyMap<string, number>,
    wanted: Set<string>,
  ): void {
    for (const pid of pids) {
      const sockets = netSockets(this.#proc, pid, file, wanted);
      if (sockets === undefined) continue;
      for (const [inode, socket] of sockets) {
        const { peer, protocol } = socket;
        if (peer !== undefined) this.#count(inode, holders.get(inode) as number, protocol, peer);
        if (socket.settled) this.#settle(inode);
        else if (protocol === 'udp') this.#known.set(inode, { ...this.#get(inode), due: 0, udp: true });
        else continue;
        wanted.delete(inode);
      }
      return;
    }
  }

  #dropUnix(pids: ReadonlySet<number>, wanted: Set<string>): void {
    const [pid] = pids;
    if (pid === undefined) return;
    for (const inode of unixSockets(this.#proc, pid, wanted)) {
      wanted.delete(inode);
      this.#settle(inode);
    }
  }

  #get(inode: string): Known {
    return this.#known.get(inode) ?? { due: 0, wait: 1, udp: false, peers: new Set() };
  }

  #settle(inode: string): void {
    this.#known.set(inode, { ...this.#get(inode), due: undefined });
  }

  #postpone(inode: string): void {
    const known = this.#get(inode);
    this.#known.set(inode, {
      ...known,
      due: this.#samples + known.wait,
      wait: Math.min(MAX_WAIT, known.wait * 2),
    });
  }

  #count(
    inode: string,
    pid: number,
    protocol: 'tcp' | 'udp',
    { address, port }: { readonly address: string; readonly port: number },
  ): void {
    const { peers, ...known } = this.#get(inode);
    this.#known.set(inode, { ...known, peers });
    const peer = `${address} ${port}`;
    if (peers.has(peer) || peers.size >= MAX_ENDPOINTS || this.#options.ours(address, port)) return;
    peers.add(peer);
    const program = programName(this.#proc, pid);
    const key = `${program}\n${protocol} ${peer}`;
    const before = this.#found.get(key);
    if (before !== undefined) {
      this.#found.set(key, { ...before, count: before.count + 1 });
      return;
    }
    if (this.#found.size >= MAX_ENDPOINTS) return;
    const found = { program, pid, address, port, protocol, count: 1, firstSeenAt: Date.now() };
    this.#found.set(key, found);
    try {
      this.#options.onFound(found);
    } catch {
      // What is done with a finding must not end the watch.
    }
  }
}

function readableProc(): boolean {
  try {
    // CONFIG_PROC_CHILDREN may be off; gVisor and hardened containers leave files out.
    accessSync(`/proc/${process.pid}/task/${process.pid}/children`, constants.R_OK);
    accessSync('/proc/self/net/tcp', constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
