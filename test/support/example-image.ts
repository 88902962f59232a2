import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readlink, rm, symlink, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { all, type Instruction, pairsOf, readDockerfile, type Stage } from './dockerfile.ts';
import { cleanEnv } from './weir.ts';

const run = promisify(execFile);
const CHECKOUT = join(import.meta.dirname, '../..');

/** What a Dockerfile builds, in a plain directory: `root` stands for `/` of the image. */
export interface Image {
  readonly root: string;
  /** The uid and gid of USER when this process may become them (root), else undefined. */
  readonly user: number | undefined;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
  /** ENV, paths of the image rewritten to the directory. */
  readonly env: Readonly<Record<string, string>>;
  /** RUN commands that were executed. */
  readonly ran: readonly string[];
  /** A path of the image in the directory. */
  at(path: string): string;
  /** The argument as the mirror needs it: paths of the image rewritten, `node` is this Node. */
  rewrite(argument: string): string;
  /** Every path outside the volumes. */
  files(): string[];
  close(): Promise<void>;
}

/**
 * Replays a Dockerfile without an engine. COPY and RUN do what they say, in a directory per stage; only `npm ci`, which
 * needs a registry, is replaced by copying those installed packages that the lock file names for production and for the build.
 * As root, owners are those of the image.
 */
export async function buildImage(dockerfile: string): Promise<Image> {
  const base = await mkdtemp(join(tmpdir(), 'weir-image-'));
  // USER must be able to reach its own root.
  chmodSync(base, 0o755);
  try {
    const stages = readDockerfile(dockerfile);
    const roots = new Map<string, string>();
    const ran: string[] = [];
    for (const [index, stage] of stages.entries()) {
      const root = join(base, String(index));
      await mkdir(root);
      if (stage.name !== undefined) roots.set(stage.name, root);
      await replay(stage, root, roots, ran);
    }
    const root = join(base, String(stages.length - 1));
    for (const built of roots.values()) await rm(built, { recursive: true, force: true });
    return mirror(stages.at(-1) as Stage, root, ran, () => rm(base, { recursive: true, force: true }));
  } catch (error) {
    await rm(base, { recursive: true, force: true });
    throw error;
  }
}

/** This process is root, and other users can run this Node and read this checkout. */
export function canBecomeAnother(): boolean {
  if (process.getuid?.() !== 0) return false;
  const open = (path: string): boolean => (statSync(path).mode & 0o001) !== 0 && (path === '/' || open(dirname(path)));
  return open(process.execPath) && open(CHECKOUT);
}

async function replay(stage: Stage, root: string, roots: ReadonlyMap<string, string>, ran: string[]): Promise<void> {
  let cwd = root;
  for (const step of stage.instructions) {
    if (step.keyword === 'WORKDIR') {
      cwd = join(root, step.text);
      await mkdir(cwd, { recursive: true });
    } else if (step.keyword === 'COPY') await copy(step, root, cwd, roots);
    else if (step.keyword === 'RUN' && /^npm ci\b/.test(step.text)) await install(cwd);
    else if (step.keyword === 'RUN') {
      await shell(step.text, root, cwd);
      ran.push(step.text);
    }
  }
}

/** One shell line, absolute paths inside the stage's root; npm without a network. */
async function shell(text: string, root: string, cwd: string): Promise<void> {
  const line = text.replace(
    /(^|\s)(\/[^\s;&|]+)/g,
    (_, before: string, path: string) => `${before}${join(root, path)}`,
  );
  const env = cleanEnv({
    PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    npm_config_offline: 'true',
  });
  await run('/bin/sh', ['-ec', line], { cwd, env, timeout: 240_000, maxBuffer: 16 << 20 });
}

async function copy(step: Instruction, root: string, cwd: string, roots: ReadonlyMap<string, string>): Promise<void> {
  const words = step.text.split(' ');
  const to = words.pop() as string;
  const target = to.startsWith('/') ? join(root, to) : resolve(cwd, to);
  const stage = step.flags.get('from');
  const from = stage === undefined ? CHECKOUT : roots.get(stage);
  if (from === undefined) throw new Error(`line ${step.line}: there is no stage ${stage}`);
  for (const word of words) {
    const source = join(from, word);
    const directory = (await lstat(source)).isDirectory();
    // A directory's content is copied, a file into a directory when the target says so.
    const file = to.endsWith('/') || words.length > 1 ? join(target, basename(word)) : target;
    await mkdir(directory ? target : dirname(file), { recursive: true });
    await copied(directory ? [`${source}/.`] : [source], directory ? target : file);
  }
  if (stage !== undefined) await relink(target, from, root);
  own(target, step.flags.get('chown') ?? '0:0');
}

/** Links to absolute paths of the image point into the directory of the stage they are in now. */
async function relink(target: string, from: string, root: string): Promise<void> {
  if (!(await lstat(target)).isDirectory()) return;
  for (const entry of await readdir(target, { withFileTypes: true })) {
    const path = join(target, entry.name);
    const to = entry.isSymbolicLink() ? await readlink(path) : '';
    if (!to.startsWith(`${from}/`)) continue;
    await unlink(path);
    await symlink(join(root, relative(from, to)), path);
  }
}

/** Only where the entry point runs as that user too: a checkout others may not enter is run by root, to whom the files then belong. */
function own(target: string, owner: string): void {
  if (!canBecomeAnother()) return;
  const [uid = 0, gid = 0] = owner.split(':').map(Number);
  chownSync(target, uid, gid);
  if (!statSync(target).isDirectory()) return;
  for (const entry of readdirSync(target, { recursive: true, withFileTypes: true }))
    if (!entry.isSymbolicLink()) chownSync(join(entry.parentPath, entry.name), uid, gid);
}

/** cp, because a tree of ten thousand files takes node:fs several times as long. */
async function copied(sources: readonly string[], target: string): Promise<void> {
  await run('cp', ['-RP', ...sources, target]);
}

/** What `npm ci` would bring, from the checkout: copies, because npm writes into the tree it prunes. */
async function install(cwd: string): Promise<void> {
  const lock = JSON.parse(readFileSync(join(cwd, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const wanted = new Map<string, string[]>();
  for (const [path, facts] of Object.entries(lock.packages)) {
    // Nested ones come with the package they are in.
    if (path === '' || path.lastIndexOf('node_modules/') > 0 || !existsSync(join(CHECKOUT, path))) continue;
    if (facts.dev === true && !/node_modules\/(?:typescript$|@typescript\/|@types\/|undici-types$)/.test(path))
      continue;
    const parent = join(cwd, dirname(path));
    wanted.set(parent, [...(wanted.get(parent) ?? []), join(CHECKOUT, path)]);
  }
  for (const [parent, sources] of wanted) {
    await mkdir(parent, { recursive: true });
    await copied(sources, parent);
  }
  // With a link missing npm would fetch the package again.
  const bin = 'node_modules/.bin';
  await mkdir(join(cwd, bin), { recursive: true });
  for (const name of readdirSync(join(CHECKOUT, bin))) {
    const to = await readlink(join(CHECKOUT, bin, name));
    if (existsSync(join(cwd, bin, to))) await symlink(to, join(cwd, bin, name));
  }
}

function mirror(stage: Stage, root: string, ran: readonly string[], close: () => Promise<void>): Image {
  const last = (keyword: string): readonly string[] => all(stage, keyword).at(-1)?.exec ?? [];
  const paths = readdirSync(root).map((name) => `/${name}/`);
  const at = (path: string): string => join(root, path);
  const rewrite = (argument: string): string => {
    if (argument === 'node') return process.execPath;
    return paths.some((path) => argument.startsWith(path)) ? at(argument) : argument;
  };
  const env = all(stage, 'ENV').flatMap((step) => [...pairsOf(step)].map(([name, value]) => [name, rewrite(value)]));
  const volumes = all(stage, 'VOLUME').flatMap(({ exec }) => exec ?? []);
  const uid = Number(all(stage, 'USER').at(-1)?.text.split(':')[0]);
  return {
    root,
    user: canBecomeAnother() ? uid : undefined,
    entrypoint: last('ENTRYPOINT'),
    cmd: last('CMD'),
    healthcheck: last('HEALTHCHECK'),
    env: Object.fromEntries(env),
    ran,
    at,
    rewrite,
    files: () => {
      const found = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => `/${name}`);
      return found.filter((name) => !volumes.some((volume) => name.startsWith(volume))).sort();
    },
    close,
  };
}
