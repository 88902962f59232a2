const counts = new Uint32Array(256);

/** Shannon entropy in bits per character, of a string with one character per byte. */
export function entropyOf(text: string): number {
  if (text.length === 0) return 0;
  counts.fill(0);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i) & 0xff;
    counts[code] = (counts[code] as number) + 1;
  }
  let sum = 0;
  for (let i = 0; i < 256; i++) {
    const count = counts[i] as number;
    if (count > 1) sum += count * Math.log2(count);
  }
  return Math.log2(text.length) - sum / text.length;
}
