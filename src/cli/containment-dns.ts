import { connect } from 'node:net';
import type { UdpExchange } from './containment-udp.ts';

/** A name that cannot resolve (RFC 6761 §6.4): what matters is whether somebody answers. */
const LABELS = ['verify', 'weir', 'invalid'];

/** One question of type A with recursion desired (RFC 1035 §4.1). */
export function dnsQuestion(): Buffer {
  const head = Buffer.from([0x5e, 0x1f, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
  const name = LABELS.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([head, ...name, Buffer.from([0, 0, 1, 0, 1])]);
}

/** RCODE of an answer (RFC 1035 §4.1.1); 0 where it is too short to have one. */
export function answerCode(answer: Buffer): number {
  return (answer[3] ?? 0) & 0x0f;
}

/** A message as it goes over TCP, its length in front (RFC 7766 §8). */
export function framed(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]);
}

/** The same question over TCP. Never rejects. */
export function overTcp(host: string, port: number, question: Buffer, ms: number): Promise<UdpExchange> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let text = Buffer.alloc(0);
    const done = (result: UdpExchange): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(ms, () => done({}));
    socket.on('connect', () => {
      socket.write(framed(question));
    });
    socket.on('data', (part) => {
      text = Buffer.concat([text, part]);
      // Four octets of the message tell its RCODE; more is never kept than one read brought.
      if (text.length >= 6) done({ answer: text.subarray(2) });
    });
    socket.on('end', () => done({ failure: 'closed without an answer' }));
    socket.on('error', (error: NodeJS.ErrnoException) => done({ failure: error.code ?? error.message }));
  });
}
