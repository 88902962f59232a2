import type { Duplex } from 'node:stream';

const PREFACE_LENGTH = 24;
const FRAME_HEAD = 9;
const HEADERS = 0x01;
/** An agent that has sent this much has begun, whatever it is. */
const ENOUGH = 65_536;

/** Waiting for the agent's first request or the upstream's SETTINGS, whichever comes first. */
export interface Gate {
  /** Opens it now (the upstream's SETTINGS are here). Idempotent. */
  open(): void;
}

/**
 * Holds our SETTINGS back until the upstream's are known, so that the agent's first look shows the upstream's stream limit
 * and extended CONNECT (RFC 8441 §3); an agent that does not wait for SETTINGS is not made to: its first HEADERS frame
 * opens the gate. Bytes read meanwhile are put back before `then` runs. Costs no round trip either way.
 */
export function gate(agent: Duplex, then: () => void): Gate {
  let bytes: Buffer = Buffer.alloc(0);
  let done = false;
  const open = (): void => {
    if (done) return;
    done = true;
    agent.off('readable', onReadable).off('end', open).off('close', open);
    if (bytes.length > 0 && !agent.destroyed && !agent.readableEnded) agent.unshift(bytes);
    then();
  };
  const onReadable = (): void => {
    for (let chunk: Buffer | null = agent.read(); chunk !== null; chunk = agent.read()) {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    }
    if (bytes.length >= ENOUGH || hasRequest(bytes)) open();
  };
  agent.on('readable', onReadable).on('end', open).on('close', open);
  return { open };
}

/** Whether a HEADERS frame begins in these first bytes (RFC 9113 §3.4, §4.1). */
export function hasRequest(bytes: Buffer): boolean {
  let at = PREFACE_LENGTH;
  while (at + FRAME_HEAD <= bytes.length) {
    if (bytes[at + 3] === HEADERS) return true;
    at += FRAME_HEAD + bytes.readUIntBE(at, 3);
  }
  return false;
}
