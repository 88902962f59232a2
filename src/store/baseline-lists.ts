import { METHODS_KEPT, SHAPES_KEPT } from './aggregate.ts';

/** Lists of a parameter come separated by line feeds. */
export const METHODS = listOf('methods', METHODS_KEPT);
export const METHODS_UNION = unionOf('methods', METHODS_KEPT);
export const SHAPES = listOf('path_shapes', SHAPES_KEPT);
export const SHAPES_UNION = unionOf('path_shapes', SHAPES_KEPT);
export const HOURS_UNION = 'coalesce(d.hours, 0) | s.hours';

function listOf(name: string, most: number): string {
  return `CASE WHEN s.${name} = '' THEN [] ELSE list_sort(list_distinct(string_split(s.${name}, chr(10))))[1:${most}] END`;
}

/** A row of an older file has no list yet. */
function unionOf(name: string, most: number): string {
  return `list_sort(list_distinct(list_concat(coalesce(d.${name}, []), ${listOf(name, most)})))[1:${most}]`;
}
