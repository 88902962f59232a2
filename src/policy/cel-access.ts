import { AttributeMap } from './cel-context.ts';
import { Failure, MapValue, mismatch, type Result, Uint, type Value } from './cel-value.ts';

const NO_KEY = new Failure('value', 'no such key');
/** The key is not repeated: it was computed, perhaps from the request. */
const NO_ATTRIBUTE = new Failure('absent', 'an attribute whose name is computed is not set');

/** `container[key]`, `container.key`. */
export function at(container: Value, key: Value): Result {
  if (container instanceof MapValue) {
    const value = container.get(key);
    if (value !== undefined) return value;
    return container instanceof AttributeMap ? NO_ATTRIBUTE : NO_KEY;
  }
  if (!Array.isArray(container)) return mismatch('`[]`', container, key);
  const index = key instanceof Uint ? key.value : key;
  if (typeof index !== 'bigint' && !(typeof index === 'number' && Number.isInteger(index))) {
    return mismatch('`[]`', container, key);
  }
  const value: Value | undefined = container[Number(index)];
  return value === undefined ? new Failure('value', 'the list has no element at that index') : value;
}
