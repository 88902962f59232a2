import { type Coverage, coverage } from './coverage.ts';
import { canWatchDirect } from './direct-connections.ts';
import { reportOf, type Scene } from './doctor-scene.ts';
import { intercepts } from './doctor-trust.ts';

/** What no check can see; said every time so that "ok" is not read as more than it is. */
export interface Unseen {
  readonly unseen: readonly string[];
  readonly coverage: readonly Coverage[];
}

const WORDS: Readonly<Record<Coverage['ignores'], string>> = {
  proxy: 'not through Weir',
  ca: 'no trust in Weir’s CA from the variables',
  'proxy-and-ca': 'not through Weir, no trust in its CA from the variables',
};

/** General limits, those of this machine, and programs on PATH that do not follow the variables. */
export function unseenHere(env: NodeJS.ProcessEnv, scene: Scene | undefined): Unseen {
  const report = scene === undefined ? undefined : reportOf(scene);
  const trustMatters = scene === undefined || intercepts(scene);
  const bundle = scene?.ca?.bundlePath;
  const found = coverage(env, { proxy: report?.listeners[0]?.address, ...(bundle ? { bundle } : {}) });
  return {
    unseen: [
      'programs that ignore the proxy variables, and raw sockets, UDP or DNS of their own',
      'agent headers inside tunnels: X-Weir-Agent cannot be removed where TLS is not intercepted',
      'other machines: run weir verify where the agent runs',
      directSentence(),
      ...(report?.containment === 'network' ? [] : ['whether an agent has another way out: weir verify --containment']),
    ],
    // Where nothing is intercepted nobody has to trust the CA.
    coverage: found.filter(({ ignores }) => trustMatters || ignores !== 'ca'),
  };
}

function directSentence(): string {
  return canWatchDirect
    ? 'connections around Weir that last less than a quarter of a second: weir run samples the sockets 4×/s'
    : 'connections around Weir: weir run can sample the sockets of its child only where Linux shows /proc';
}

/** Programs with the same fix in one line. */
export function unseenLines({ unseen, coverage: programs }: Unseen): string[] {
  const groups = new Map<string, { readonly names: string[]; readonly ignores: Coverage['ignores'] }>();
  for (const { program, ignores, fix } of programs) {
    const group = groups.get(fix);
    if (group === undefined) groups.set(fix, { names: [program], ignores });
    else group.names.push(program);
  }
  const lines = [...groups].map(([fix, { names, ignores }]) => `${names.join(', ')}: ${WORDS[ignores]}\n    ${fix}`);
  return [...unseen, ...lines];
}
