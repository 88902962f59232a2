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
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(changed, DEBOUNCE_MS);
    timer.unref();
  };
  for (const directory of new Set(files.map((file) => dirname(file)))) {
    try {
      const watcher = watch(directory, { persistent: false }, soon);
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      // The look below finds what is told to nobody.
    }
  }
  let known = files.map(stamp).join('\n');
  const look = setInterval(() => {
    const now = files.map(stamp).join('\n');
    if (now === known) return;
    known = now;
    soon();
  }, LOOK_MS);
  look.unref();
  return () => {
    clearTimeout(timer);
    clearInterval(look);
    for (const watcher of watchers) watcher.close();
  };
}

function stamp(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? 'gone' : `${found.ino} ${found.size} ${found.mtimeMs}`;
}
