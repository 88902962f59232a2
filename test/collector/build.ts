import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const MANIFEST = fileURLToPath(new URL('manifest.yaml', import.meta.url));
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/otelcol/', import.meta.url));

/** Path of the Collector the tests use, when there is one: `WEIR_TEST_OTELCOL`, else what `build` left. */
export function builtCollector(): string | undefined {
  const given = process.env['WEIR_TEST_OTELCOL'];
  if (given !== undefined) return given;
  const path = cached();
  return existsSync(path) ? path : undefined;
}

function cached(): string {
  const key = createHash('sha256').update(readFileSync(MANIFEST)).digest('hex').slice(0, 16);
  return join(CACHE, `otelcol-${key}`);
}

/**
 * Builds the Collector of the manifest with the Collector builder. Needs Go and its module proxy; some minutes, some hundred MiB
 * of modules. Nothing to do when it is there. Throws Error when a step fails.
 */
export function build(go: string): string {
  const target = cached();
  if (existsSync(target)) return target;
  const version = /^ {2}version: (\S+)$/m.exec(readFileSync(MANIFEST, 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${MANIFEST} names no version`);
  const work = join(tmpdir(), `weir-otelcol-${process.pid}`);
  mkdirSync(work, { recursive: true });
  mkdirSync(CACHE, { recursive: true });
  try {
    const env = { ...process.env, GOBIN: work, GOFLAGS: '-trimpath', CGO_ENABLED: '0' };
    execFileSync(go, ['install', `go.opentelemetry.io/collector/cmd/builder@v${version}`], {
      cwd: work,
      env,
      stdio: 'inherit',
    });
    const config = join(work, 'manifest.yaml');
    const lines = readFileSync(MANIFEST, 'utf8').replace(
      /^dist:$/m,
      `dist:\n  output_path: ${join(work, 'out')}\n  go: ${go}`,
    );
    writeFileSync(config, lines);
    execFileSync(join(work, 'builder'), ['--config', config], { cwd: work, env, stdio: 'inherit' });
    copyFileSync(join(work, 'out', 'otelcol-weir'), join(CACHE, 'otelcol-new'));
    renameSync(join(CACHE, 'otelcol-new'), target);
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    console.log(build(process.argv[2] ?? 'go'));
  } catch (error) {
    // Without it the tests that need it skip and say so.
    console.error(`no Collector could be built: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
