import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Config } from './config/schema.ts';
import { refuseNewerState } from './config/state-version.ts';
import { createAuthority } from './connection/authority.ts';
import { createExceptions } from './connection/exceptions.ts';
import { readExport } from './inspect/baseline-edits.ts';
import { hostPort } from './model/destination.ts';

type ListenEntry = Config['listen'][number];

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of `upstream.ca_file`, as one text. Throws Error: a file without a usable certificate would trust nobody new and say nothing. */
export function pemFiles(file: string | undefined): string[] {
  if (file === undefined) return [];
  const text = readNamed('upstream.ca_file', file);
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Error(`upstream.ca_file ${file} holds no certificate (PEM, BEGIN CERTIFICATE)`);
  for (const [i, pem] of blocks.entries()) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw new Error(`upstream.ca_file ${file}: certificate ${i + 1} of ${blocks.length} cannot be read`, {
        cause: error,
      });
    }
  }
  return [text];
}

/** Certificate, key and client CA of a listener with TLS, read and tried. Throws Error that names listener and file. */
export function listenerTls(entry: ListenEntry): { cert: string; key: string; clientCa?: string } | undefined {
  const { tls } = entry;
  if (tls === undefined) return undefined;
  const where = `listen ${hostPort(entry.host, entry.port)}`;
  const cert = readNamed(`${where}: tls.cert`, tls.cert);
  const key = readNamed(`${where}: tls.key`, tls.key);
  const clientCa = tls.client_ca === undefined ? undefined : readNamed(`${where}: tls.client_ca`, tls.client_ca);
  attempt(`${where}: tls.cert ${tls.cert} and tls.key ${tls.key} are no certificate and its key`, { cert, key });
  if (clientCa === undefined) return { cert, key };
  if (!CERTIFICATE.test(clientCa)) throw new Error(`${where}: tls.client_ca ${tls.client_ca} holds no certificate`);
  CERTIFICATE.lastIndex = 0;
  return { cert, key, clientCa };
}

/** What `baseline.seed` holds (an export, parsed). Throws Error: who asked for a seed would otherwise learn for days what was known. */
export function seedFile(file: string): unknown {
  const text = readNamed('baseline.seed', file);
  try {
    const json: unknown = JSON.parse(text);
    readExport(json, Date.now());
    return json;
  } catch (error) {
    const why = error instanceof SyntaxError ? 'this is no JSON' : (error as Error).message;
    throw new Error(`baseline.seed ${file}: ${why}. One is made by: weir baseline export AGENT ${file}`, {
      cause: error,
    });
  }
}

function attempt(sentence: string, options: { cert: string; key: string }): void {
  try {
    createSecureContext(options);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${sentence} (${code ?? message})`, { cause: error });
  }
}

function readNamed(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${name} ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      cause: error,
    });
  }
}

/** After `weir ca trust` where no collector runs: clients that had refused the CA are read by the next one. Returns how many. */
export async function forgetStoredRefusals(stateDir: string): Promise<number> {
  refuseNewerState(stateDir);
  const problems: string[] = [];
  const exceptions = createExceptions({
    file: join(stateDir, 'exceptions.json'),
    log: (event, fields) => problems.push(`${event} ${JSON.stringify(fields)}`),
  });
  const forgotten = exceptions.forgetClients();
  await exceptions.flush();
  if (forgotten > 0 && problems.length > 0) throw new Error(problems.join('; '));
  return forgotten;
}

/** A new interception CA where no collector runs, whatever state the old files are in. Throws Error when there is no state directory. */
export function rotateStoredAuthority(stateDir: string): void {
  refuseNewerState(stateDir);
  if (!existsSync(join(stateDir, 'private')))
    throw new Error(`there is no CA yet in ${stateDir}. One is made by: weir start`);
  createAuthority({ dir: stateDir, ephemeral: false, renew: true });
}
