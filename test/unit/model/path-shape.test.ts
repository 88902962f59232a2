import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathShape } from '../../../src/model/path-shape.ts';

test('identifiers, queries and what was taken out are left out', () => {
  for (const [path, shape] of [
    ['/', '/'],
    ['/v1/chat/completions?model=x', '/v1/chat/completions'],
    ['/v1/users/8412/posts#top', '/v1/users/*/posts'],
    ['/repos/acme/web/commits/3f2a9c1e77', '/repos/acme/web/commits/*'],
    ['/o/550e8400-e29b-41d4-a716-446655440000', '/o/*'],
    ['/x/[AWS ACCESS KEY ID_REDACTED]/y', '/x/*/y'],
    ['/a-very-long-name-of-more-than-twenty-four', '/*'],
    ['*', ''],
    ['', ''],
  ] as const)
    assert.equal(pathShape(path), shape, path);
});

test('a shape has at most 80 characters', () => {
  const shape = pathShape(`/${Array.from({ length: 40 }, () => 'part').join('/')}`);
  assert.ok(shape.length <= 80, shape);
  assert.match(shape, /^\/part\/.*\/part\/\*\*$/);
});
