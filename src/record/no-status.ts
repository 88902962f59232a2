import type { RecorderStatus } from './protocol.ts';

/** What is told of a recorder that does not answer. */
export function noStatus(dropped: Readonly<Record<string, number>>, sentence: string): RecorderStatus {
  return {
    dropped,
    consumers: [],
    journalBytes: 0,
    storeBytes: 0,
    storeSentence: sentence,
    endpointSentence: sentence,
    problems: [sentence],
    unrecorded: sentence,
  };
}
