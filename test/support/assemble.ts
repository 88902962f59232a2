/** Registers what must be undone at the end. */
export type Later = (close: () => unknown) => void;

/**
 * Builds a set of things that must all be closed, also when building fails halfway: a test process that leaks a server
 * never ends. Closing runs in reverse order.
 */
export async function assemble<T extends object>(
  build: (later: Later) => Promise<T>,
): Promise<T & { close(): Promise<void> }> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (let act = closers.pop(); act !== undefined; act = closers.pop()) await act();
  };
  try {
    return { ...(await build((act) => closers.push(act))), close };
  } catch (error) {
    await close();
    throw error;
  }
}
