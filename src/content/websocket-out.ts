import { writeClose, writeFrame } from '../codec/websocket-write.ts';
import type { BodyScanned } from '../model/scan.ts';
import type { FilterOut } from './filter-contract.ts';

/** RFC 6455 §7.4.1: a message violates the policy of whoever closes. */
const POLICY_VIOLATION = 1008;

/** Frames of our own, beside those that go on as they came. */
export class WebSocketOut {
  readonly #out: FilterOut;
  readonly #toServer: boolean;

  constructor(out: FilterOut, toServer: boolean) {
    this.#out = out;
    this.#toServer = toServer;
  }

  /** Bytes of frames. */
  send(bytes: Buffer): void {
    if (bytes.length > 0) this.#out.data(bytes);
  }

  frame(opcode: number, payload: Uint8Array, fin = true): void {
    this.send(writeFrame({ opcode, payload, fin, key: this.#toServer ? newKey() : undefined }));
  }

  close(code: number, reason: Uint8Array): void {
    this.send(writeClose(code, reason, this.#toServer ? newKey() : undefined));
  }

  /** Nothing more passes: both sides are told. */
  refuse(scanned: BodyScanned, reason: string): void {
    const text = Buffer.from(reason);
    const masked = writeClose(POLICY_VIOLATION, text, newKey());
    const plain = writeClose(POLICY_VIOLATION, text);
    this.#out.stop(scanned, this.#toServer ? { forward: masked, back: plain } : { forward: plain, back: masked });
  }
}

/** Only a client masks (RFC 6455 §5.1), with a key nobody can foresee (§5.3). */
function newKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(4));
}
