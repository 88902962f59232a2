import type { Relay } from '../model/ports.ts';
import { Http1Session } from './http1-session.ts';

/**
 * Relays HTTP/1 between one agent stream and its upstream transports (`Relay` of the ports): exchanges in sequence, heads
 * line by line and bodies byte by byte as they came, one upstream transport per destination and agent connection.
 */
export const relayHttp1: Relay = (agent, context) => {
  new Http1Session(agent, context).start();
};
