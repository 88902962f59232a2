/** node-forge's ASN.1 module alone: loading all of forge costs five times as much at start. */
declare module 'node-forge/lib/asn1.js' {
  import type { asn1 } from 'node-forge';

  const module: typeof asn1;
  // biome-ignore lint/style/noDefaultExport: a CommonJS module has no other export in ESM.
  export default module;
}
