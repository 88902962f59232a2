import type { ByteSet } from './pattern.ts';

export function setOf(...bytes: readonly number[]): ByteSet {
  const set = new Uint32Array(8);
  for (const byte of bytes) addByte(set, byte);
  return set;
}

export function rangeSet(from: number, to: number): ByteSet {
  const set = new Uint32Array(8);
  for (let byte = from; byte <= to; byte++) addByte(set, byte);
  return set;
}

export function addByte(set: ByteSet, byte: number): void {
  set[byte >>> 5] = (set[byte >>> 5] as number) | (1 << (byte & 31));
}

export function has(set: ByteSet, byte: number): boolean {
  return (((set[byte >>> 5] as number) >>> (byte & 31)) & 1) === 1;
}

/** Adds all of `other` to `set`. */
export function addAll(set: ByteSet, other: ByteSet): void {
  for (let i = 0; i < 8; i++) set[i] = (set[i] as number) | (other[i] as number);
}

export function union(a: ByteSet, b: ByteSet): ByteSet {
  const set = Uint32Array.from(a);
  addAll(set, b);
  return set;
}

export function intersection(a: ByteSet, b: ByteSet): ByteSet {
  return a.map((word, i) => word & (b[i] as number));
}

export function complement(set: ByteSet): ByteSet {
  return set.map((word) => ~word);
}

export function isEmpty(set: ByteSet): boolean {
  return set.every((word) => word === 0);
}

export function bytesOf(set: ByteSet): number[] {
  const bytes: number[] = [];
  for (let byte = 0; byte < 256; byte++) if (has(set, byte)) bytes.push(byte);
  return bytes;
}
