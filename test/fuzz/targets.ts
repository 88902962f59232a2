import type { Target } from './fuzz.ts';

/** All there is, by name. Loaded late: the library of patterns takes a moment. */
export async function allTargets(): Promise<readonly Target[]> {
  const files = await Promise.all([
    import('./targets/decoders.ts'),
    import('./targets/client-hello.ts'),
    import('./targets/http1.ts'),
    import('./targets/websocket.ts'),
    import('./targets/streams.ts'),
    import('./targets/scanner.ts'),
    import('./targets/redaction.ts'),
  ]);
  return files.flatMap(({ targets }) => targets);
}
