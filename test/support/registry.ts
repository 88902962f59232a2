import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}

/** One file in ustar format (POSIX.1-1988). */
function tarEntry(name: string, content: string): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write(octal(0o644, 8), 100);
  head.write(octal(0, 8), 108);
  head.write(octal(0, 8), 116);
  head.write(octal(content.length, 12), 124);
  head.write(octal(0, 12), 136);
  head.write('        ', 148);
  head.write('0', 156);
  head.write('ustar\x0000', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content, 0);
  return Buffer.concat([head, body]);
}

const MANIFEST = { name: 'weir-tiny', version: '1.0.0', main: 'index.js' };

/** The tarball the registry stand-in serves. */
export const TARBALL = gzipSync(
  Buffer.concat([
    tarEntry('package/package.json', JSON.stringify(MANIFEST)),
    tarEntry('package/index.js', 'module.exports = "low barrier";\n'),
    Buffer.alloc(1024),
  ]),
);

/** An npm registry with one package, `weir-tiny`. `base` is the URL it is reached under, e.g. `https://read.test/npm`. */
export function registry(path: string, base: string, response: ServerResponse): void {
  if (path.endsWith('.tgz')) {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': TARBALL.length });
    response.end(TARBALL);
    return;
  }
  if (path !== '/weir-tiny') {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{}');
    return;
  }
  const dist = {
    tarball: `${base}/weir-tiny/-/weir-tiny-1.0.0.tgz`,
    integrity: `sha512-${createHash('sha512').update(TARBALL).digest('base64')}`,
    shasum: createHash('sha1').update(TARBALL).digest('hex'),
  };
  const document = {
    name: 'weir-tiny',
    'dist-tags': { latest: '1.0.0' },
    versions: { '1.0.0': { ...MANIFEST, dist } },
  };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(document));
}
