import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkedIn, wasmCode } from '../../support/scan-wasm.ts';

test('the module that is checked in is what its sources make, byte for byte', async () => {
  assert.equal(checkedIn(), await wasmCode(), 'npm run build:scan');
});
