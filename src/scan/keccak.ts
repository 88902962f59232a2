/**
 * Keccak-256 as Ethereum uses it: FIPS 202's permutation with the padding from before FIPS 202 (0x01 instead of 0x06), which
 * node:crypto does not have. For inputs of one block (135 bytes or less) only: addresses have 40.
 */
const RATE = 136;
const MASK = (1n << 64n) - 1n;
const ROTATIONS = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/** Round constants by the linear feedback shift register of FIPS 202 §3.2.5. */
const ROUNDS = (() => {
  const constants: bigint[] = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (register & 1) constant |= 1n << BigInt(2 ** j - 1);
      register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    }
    constants.push(constant);
  }
  return constants;
})();

function rotate(lane: bigint, by: number): bigint {
  return ((lane << BigInt(by)) | (lane >> BigInt(64 - by))) & MASK;
}

function permute(lanes: bigint[]): void {
  const at = (i: number): bigint => lanes[i] as bigint;
  for (const constant of ROUNDS) {
    const columns = [0, 1, 2, 3, 4].map((x) => at(x) ^ at(x + 5) ^ at(x + 10) ^ at(x + 15) ^ at(x + 20));
    const column = (x: number): bigint => columns[x % 5] as bigint;
    const moved = new Array<bigint>(25);
    for (let i = 0; i < 25; i++) {
      const x = i % 5;
      const y = (i - x) / 5;
      const mixed = at(i) ^ column(x + 4) ^ rotate(column(x + 1), 1);
      moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(mixed, ROTATIONS[i] as number);
    }
    for (let i = 0; i < 25; i++) {
      const row = i - (i % 5);
      const next = (by: number): bigint => moved[row + ((i + by) % 5)] as bigint;
      lanes[i] = (moved[i] as bigint) ^ (~next(1) & MASK & next(2));
    }
    lanes[0] = at(0) ^ constant;
  }
}

/** @param input - at most 135 bytes. */
export function keccak256(input: Uint8Array): Uint8Array {
  const block = Buffer.alloc(RATE);
  block.set(input);
  block[input.length] = 1;
  block[RATE - 1] = (block[RATE - 1] as number) | 0x80;
  const lanes = Array.from({ length: 25 }, (_, i) => (i * 8 < RATE ? block.readBigUInt64LE(i * 8) : 0n));
  permute(lanes);
  const out = Buffer.alloc(32);
  for (let i = 0; i < 4; i++) out.writeBigUInt64LE(lanes[i] as bigint, i * 8);
  return out;
}
