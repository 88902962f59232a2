import { registerHooks } from 'node:module';

/**
 * Loaded into a Weir before itself (`--import`): between the real stages and the real corridor stands one inspector that throws at
 * requests with `break-head` in their target, and a body stage that throws while it looks at those with `break-body`.
 */
const BREAKING = `
const known = new WeakMap();
export function createCorridor(options) {
  return createWhole({ ...options, stages: () => broken(options.stages()) });
}
function fails(word) {
  return ({ request }) => {
    if (request.target.includes(word)) throw new Error('broken on purpose');
  };
}
function broken(stages) {
  let made = known.get(stages);
  if (made === undefined) {
    const head = fails('break-head');
    const inspector = { id: 'broken', phase: 'request', inspect: (exchange) => (head(exchange), []) };
    made = { ...stages, inspectors: [...stages.inspectors, inspector], content: { ...stages.content, ...looking(stages.content) } };
    known.set(stages, made);
  }
  return made;
}
function looking(content) {
  const body = fails('break-body');
  return {
    tap(exchange, ...rest) {
      const tap = content.tap(exchange, ...rest);
      return tap && { push: (bytes) => (body(exchange), tap.push(bytes)), finish: () => tap.finish() };
    },
    filter(exchange, ...rest) {
      const filter = content.filter(exchange, ...rest);
      if (filter === undefined) return undefined;
      const { shape } = filter;
      const write = (bytes) => (body(exchange), filter.write(bytes));
      return { shape, write, end: () => filter.end(), abandon: () => filter.abandon() };
    },
  };
}
`;

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!/\/pipeline\/corridor\.[jt]s$/.test(url)) return loaded;
    const source = String(loaded.source).replace('export function createCorridor', 'function createWhole');
    return { ...loaded, source: source + BREAKING };
  },
});
