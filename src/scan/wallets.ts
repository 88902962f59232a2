import { createHash } from 'node:crypto';
import { BIP39_WORDS } from './bip39-words.ts';
import type { Check } from './pattern.ts';

let places: ReadonlyMap<string, number> | undefined;

/** Lengths of a mnemonic in words; 11 bits each, of which one in 33 is the checksum. */
const MNEMONICS = [24, 21, 18, 15, 12];

/** BIP-39: the last bits of the words are the first of the SHA-256 of those before. */
function mnemonicHolds(words: readonly number[]): boolean {
  const bits = words.map((word) => word.toString(2).padStart(11, '0')).join('');
  const check = words.length / 3;
  const entropy = Buffer.from(
    bits
      .slice(0, -check)
      .match(/.{8}/g)
      ?.map((byte) => Number.parseInt(byte, 2)) ?? [],
  );
  const digest = createHash('sha256').update(entropy).digest();
  return (digest[0] as number).toString(2).padStart(8, '0').startsWith(bits.slice(-check));
}

/** A valid mnemonic among the words, wherever it begins: what stands before and behind may be words too. */
function bip39(value: string): boolean {
  places ??= new Map(BIP39_WORDS.map((word, i) => [word, i]));
  let run: number[] = [];
  for (const word of [...value.toLowerCase().split(/[^a-z]+/), '']) {
    const place = places.get(word);
    if (place !== undefined) run.push(place);
    else if (word !== '' || run.length > 0) {
      if (holdsMnemonic(run)) return true;
      run = [];
    }
  }
  return false;
}

function holdsMnemonic(run: readonly number[]): boolean {
  for (const length of MNEMONICS) {
    for (let from = 0; from + length <= run.length; from++) {
      const words = run.slice(from, from + length);
      if (mnemonicHolds(words)) return true;
    }
  }
  return false;
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Stellar SEP-23: version byte, key, CRC16-XMODEM (little endian), in base 32. */
function strkey(value: string): boolean {
  if (!/^[A-Z2-7]{56}$/.test(value)) return false;
  let bits = '';
  for (const letter of value) bits += BASE32.indexOf(letter).toString(2).padStart(5, '0');
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  let crc = 0;
  for (const byte of bytes.slice(0, -2)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc === (bytes[33] as number) + (bytes[34] as number) * 256;
}

export const WALLETS: readonly (readonly [string, Check])[] = [
  ['bip39', bip39],
  ['strkey', strkey],
];
