import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { homely } from '../config/load.ts';
import type { Check } from './doctor.ts';
import { certificatesOf, readBundle } from './doctor-bundle.ts';
import { proxyAddress } from './doctor-dead.ts';
import { PROXY_VARIABLES } from './doctor-environment.ts';
import { reportOf, type Scene, type SceneCa } from './doctor-scene.ts';
import { BUNDLE_VARIABLES } from './env.ts';

const DAY_MS = 86_400_000;
const CURE = 'eval "$(weir env)"';

/** The CA in use: its validity, the bundle on disk, and what this shell's variables make programs trust. */
export function trustChecks(scene: Scene): Check[] {
  const { ca, config } = scene;
  if (ca === undefined) {
    const path = join(config.state_dir, 'ca.pem');
    if (!existsSync(path)) return [];
    const message = `${homely(path)} is not a certificate`;
    return [{ name: 'CA', state: 'fail', message, next: 'weir ca rotate' }];
  }
  return [validity(ca, scene.now), ...bundle(ca, scene), ...shell(ca, scene)];
}

/** TLS of some host is intercepted, or would be, so trust matters. */
export function intercepts(scene: Scene): boolean {
  return (reportOf(scene)?.interception ?? scene.config.intercept) !== 'none';
}

function validity({ notBefore, notAfter }: SceneCa, now: number): Check {
  const name = 'CA';
  if (notBefore > now) {
    const from = new Date(notBefore).toISOString();
    const message = `is valid from ${from}, which is in the future: the clock is wrong, or was when it was made`;
    return { name, state: 'fail', message, next: 'timedatectl set-ntp true; if the clock is right: weir ca rotate' };
  }
  if (notAfter < now) return { name, state: 'fail', message: 'has expired', next: 'weir ca rotate' };
  const days = Math.floor((notAfter - now) / DAY_MS);
  const message = `valid for ${days} days`;
  // Under `weir run` a CA lives as long as its collector; what is stored lasts a year.
  return days < 30 ? { name, state: 'warn', message, next: 'weir ca rotate' } : { name, state: 'ok', message };
}

function bundle(ca: SceneCa, scene: Scene): Check[] {
  const name = 'bundle';
  const next = 'restart the collector (weir start): it writes the bundle again';
  const running = reportOf(scene) !== undefined;
  if (ca.bundlePath === '') return [];
  const { certificates, problem } = readBundle(ca.bundlePath);
  const path = homely(ca.bundlePath);
  if (problem !== undefined) return [{ name, state: running ? 'fail' : 'warn', message: `${path} ${problem}`, next }];
  if (certificates.includes(certificatesOf(ca.pem)[0] ?? '')) {
    const message = `${path} holds the CA ${running ? 'in use' : 'that is stored'}`;
    return [{ name, state: 'ok', message }];
  }
  return [{ name, state: 'fail', message: `${path} holds another certificate than the CA`, next }];
}

/** What the bundle of a variable holds of Weir: the CA, a root that vouches for it for some hosts, one of before, none. */
type Held = 'ours' | 'limited' | 'old' | 'none';

function shell(ca: SceneCa, scene: Scene): Check[] {
  const checks = elsewhere(scene);
  const name = 'trust';
  const held = heldBy(ca, scene.env);
  const [ours, limited, old, none] = (['ours', 'limited', 'old', 'none'] as const).map((kind) =>
    listed([...held].filter(([, found]) => found === kind).map(([variable]) => variable)),
  );
  if (old) {
    const message = `${old}: a CA of Weir that is not the one in use (rotated, or of another state directory)`;
    checks.push({ name, state: 'fail', message, next: CURE });
  }
  if (!intercepts(scene)) {
    checks.push({ name, state: 'ok', message: 'no TLS is intercepted: nothing has to trust Weir’s CA' });
    return checks;
  }
  if (ours) checks.push({ name, state: 'ok', message: `${ours}: hold Weir’s CA` });
  if (!leadsHere(scene)) return checks;
  if (limited) {
    const message = `${limited}: Weir’s CA for the hosts of weir ca trust --only, no others`;
    checks.push({ name, state: 'warn', message, next: CURE });
  }
  if (none) {
    const message = `${none}: bundles without Weir’s CA, programs that read them will refuse it`;
    checks.push({ name, state: 'fail', message, next: CURE });
  }
  if (held.size === 0)
    checks.push({ name, state: 'warn', message: 'no variable names a bundle with Weir’s CA', next: CURE });
  return checks;
}

/** Files that cannot be read have a line of their own (doctor-dead.ts). */
function heldBy(ca: SceneCa, env: NodeJS.ProcessEnv): Map<string, Held> {
  const [ours = ''] = certificatesOf(ca.pem);
  const beside = ca.bundlePath === '' ? undefined : join(dirname(ca.bundlePath), 'ca-cross.pem');
  const [cross] = beside === undefined ? [] : readBundle(beside).certificates;
  const judged = new Map<string, Held | undefined>();
  const judge = (path: string): Held | undefined => {
    const { certificates, problem } = readBundle(path);
    if (problem !== undefined) return undefined;
    if (certificates.includes(ours)) return 'ours';
    const weirs = certificates.map(parsed).filter((one) => one !== undefined && /^O=Weir$/m.test(one.subject));
    if (weirs.length === 0) return 'none';
    const [own, link] = [parsed(ours), parsed(cross ?? '')];
    const leads = own !== undefined && link?.publicKey.equals(own.publicKey) === true;
    return leads && weirs.some((root) => root !== undefined && link.checkIssued(root)) ? 'limited' : 'old';
  };
  const held = new Map<string, Held>();
  for (const variable of BUNDLE_VARIABLES) {
    const path = env[variable];
    if (!path) continue;
    // Usually all of them name one file.
    if (!judged.has(path)) judged.set(path, judge(path));
    const found = judged.get(path);
    if (found !== undefined) held.set(variable, found);
  }
  return held;
}

/** Proxy variables are set, a collector runs, and none of them leads to it. */
function elsewhere(scene: Scene): Check[] {
  const set = PROXY_VARIABLES.filter((name) => proxyAddress(scene.env[name] ?? '') !== undefined);
  const report = reportOf(scene);
  if (report === undefined || set.length === 0 || leadsHere(scene)) return [];
  const message = `${listed(set)}: not to this Weir (${report.listeners.map(({ address }) => address).join(', ')})`;
  return [{ name: 'proxy', state: 'warn', message, next: CURE }];
}

/** Without a collector any proxy variable is taken for Weir's. */
function leadsHere(scene: Scene): boolean {
  const ports = reportOf(scene)?.listeners.map(({ address }) => Number(address.slice(address.lastIndexOf(':') + 1)));
  return PROXY_VARIABLES.some((name) => {
    const address = proxyAddress(scene.env[name] ?? '');
    return address !== undefined && (ports === undefined || ports.includes(address.port));
  });
}

function listed(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
}

function parsed(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}
