import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Editors write in several steps. */
const DEBOUNCE_MS = 200;
/** Network file systems tell nobody. */
const LOOK_MS = 5_000;

/** Calls back when one of the files may have changed: its directory says so (a mounted ConfigMap changes a link there), or its time does. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const watchers: FSWatcher[] = [];
  let timer: NodeJS.Timeout | undefined;
  let known = files.map(stamp).join('\n');
  // Others may write in the same directory all the time.
  const look = (): void => {
    const now = files.map(stamp).join('\n');
    if (now === known) return;
    known = now;
    clearTimeout(timer);
    timer = setTimeout(changed, DEBOUNCE_MS);
    timer.unref();
  };
  for (const directory of new Set(files.map((file) => dirname(file)))) {
    try {
      const watcher = watch(directory, { persistent: false }, look);
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      // The look every few seconds finds what is told to nobody.
    }
  }
  const every = setInterval(look, LOOK_MS);
  every.unref();
  return () => {
    clearTimeout(timer);
    clearInterval(every);
    for (const watcher of watchers) watcher.close();
  };
}

/** Never throws: a file that cannot be looked at (no permission, a network file system that is gone) is in a state as well. */
function stamp(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
