import { registerHooks } from 'node:module';

/**
 * Loaded into a Weir before itself (`--import`): adds an inspector that throws at some requests, and makes whatever looks at bodies
 * throw at some. All else is the real program.
 */
const HEAD = `inspectors: [
  { id: 'broken', phase: 'request', inspect: ({ request }) => {
    if (request.target.includes('break-head')) throw new Error('broken on purpose');
    return [];
  } },`;
const BODY = `
const { contentStage: whole } = { contentStage };
export { breaking as contentStage };
function breaking(...all) {
  const stage = whole(...all);
  const broken = ({ request }) => {
    if (request.target.includes('break-body')) throw new Error('broken on purpose');
  };
  return {
    ...stage,
    tap: (exchange, ...rest) => {
      const tap = stage.tap(exchange, ...rest);
      return tap && { push: (bytes) => { broken(exchange); tap.push(bytes); }, finish: () => tap.finish() };
    },
    filter: (exchange, ...rest) => {
      const filter = stage.filter(exchange, ...rest);
      return filter && {
        shape: filter.shape,
        write: (bytes) => { broken(exchange); return filter.write(bytes); },
        end: () => filter.end(),
        abandon: () => filter.abandon(),
      };
    },
  };
}
`;

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    const source = String(loaded.source ?? '');
    if (/\/collector-stages\.[jt]s$/.test(url)) return { ...loaded, source: source.replace('inspectors: [', HEAD) };
    if (/\/collector-content\.[jt]s$/.test(url)) {
      return { ...loaded, source: source.replace('export function contentStage', 'function contentStage') + BODY };
    }
    return loaded;
  },
});
