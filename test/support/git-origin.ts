import { execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnv } from './weir.ts';

const run = promisify(execFile);

/** Git's identity and isolation from the machine's own configuration. */
export const GIT_ENV: Readonly<Record<string, string>> = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'weir',
  GIT_AUTHOR_EMAIL: 'weir@weir.invalid',
  GIT_COMMITTER_NAME: 'weir',
  GIT_COMMITTER_EMAIL: 'weir@weir.invalid',
  GIT_TERMINAL_PROMPT: '0',
};

/** Makes `<root>/tiny.git`, bare, with one commit, open for pushes over HTTP. */
export async function makeRepository(root: string): Promise<void> {
  const env = cleanEnv(GIT_ENV);
  const work = join(root, 'work');
  await mkdir(work, { recursive: true });
  const git = (...args: string[]): Promise<unknown> => run('git', args, { cwd: work, env });
  await git('init', '-q', '-b', 'main');
  await git('commit', '-q', '--allow-empty', '-m', 'the first commit behind the weir');
  await git('clone', '-q', '--bare', work, join(root, 'tiny.git'));
  await run('git', ['config', 'http.receivepack', 'true'], { cwd: join(root, 'tiny.git'), env });
}

/** Smart HTTP by git's own CGI program. `path` starts with `/tiny.git`. */
export function gitBackend(
  root: string,
  path: string,
  query: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const child = spawn('git', ['http-backend'], {
    env: cleanEnv({
      ...GIT_ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
      REMOTE_USER: 'weir',
      REMOTE_ADDR: '127.0.0.1',
    }),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.stdin.on('error', () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  let begun = false;
  child.stdout.on('data', (part: Buffer) => {
    if (begun) return void response.write(part);
    head = Buffer.concat([head, part]);
    const at = head.indexOf('\r\n\r\n');
    if (at < 0) return undefined;
    begun = true;
    const fields = head.subarray(0, at).toString('latin1').split('\r\n');
    const status = Number(/^Status: (\d+)/m.exec(fields.join('\n'))?.[1] ?? 200);
    for (const field of fields.filter((line) => !line.startsWith('Status:'))) {
      const colon = field.indexOf(':');
      response.setHeader(field.slice(0, colon), field.slice(colon + 1).trim());
    }
    response.writeHead(status);
    return void response.write(head.subarray(at + 4));
  });
  child.stdout.on('end', () => response.end());
}
