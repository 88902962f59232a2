import type { Socket } from 'node:net';
import { dial } from './origins.ts';
import { claim } from './watched.ts';

/** Connections a flood comes over. */
const LANES = 16;

/** One request of a flood. */
export interface One {
  readonly host: string;
  readonly agent: string;
  readonly path: string;
  readonly method?: string;
  readonly fields?: string;
}

/** Many requests over a few keep-alive connections, pipelined in small batches. */
export async function flood(port: number, count: number, next: (i: number) => One): Promise<void> {
  let begun = 0;
  const lane = async (): Promise<void> => {
    const socket = await dial(port);
    while (begun < count) {
      const batch = Math.min(20, count - begun);
      let text = '';
      for (let k = 0; k < batch; k++) {
        const { host, agent, path, method = 'GET', fields = '' } = next(begun + k);
        text += `${method} http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${claim(agent)}${fields}\r\n`;
      }
      begun += batch;
      await answers(socket, batch, text);
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function answers(socket: Socket, count: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = '';
    const onData = (bytes: Buffer): void => {
      seen += bytes.toString('latin1');
      if ((seen.match(/\r\n\r\nok/g)?.length ?? 0) < count) return;
      stop();
      resolve();
    };
    const onEnd = (): void => {
      stop();
      reject(new Error(`the connection ended after ${seen.slice(-300)}`));
    };
    const stop = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
    };
    const timer = setTimeout(onEnd, 15_000);
    socket.on('data', onData).once('end', onEnd).once('close', onEnd);
    socket.write(text);
  });
}
