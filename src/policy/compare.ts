import { examine } from './examine.ts';
import type { Policy, PolicySet } from './policy.ts';

/** What one set lets pass that another one stopped, as far as that shows without requests. */
export interface Loosened {
  /** Policies that stopped requests and are gone, off, in shadow, overshadowed, can match no more, or only record now. */
  readonly lost: readonly string[];
  /** How many stopped requests before. */
  readonly of: number;
  /** What no policy decides was blocked and is allowed now. */
  readonly opened: boolean;
}

/** Same rules in the same order: nothing to swap. Rows of a receiver carry counters, which are no part of it. */
export function fingerprintOf({ policies, defaultAction }: PolicySet): string {
  const rows = policies.map((policy) => {
    const { id, name, compiled, action, config, appliesTo, agents, enabled, priority, shadow } = policy;
    return [id, name, compiled.source, action, config, appliesTo, agents, enabled, priority, shadow];
  });
  return JSON.stringify([defaultAction, rows]);
}

export function loosened(before: PolicySet, after: PolicySet): Loosened {
  const was = stopping(before);
  const is = new Set(stopping(after));
  const opened = before.defaultAction === 'block' && after.defaultAction === 'allow';
  return { lost: was.filter((name) => !is.has(name)), of: was.length, opened };
}

/** So much more is allowed that a mistake, or somebody else's hand, is likelier than an intention: more than half is lost. */
export function isShrink({ lost, of, opened }: Loosened): boolean {
  return opened || lost.length * 2 > of;
}

export function looser({ lost, opened }: Loosened): boolean {
  return opened || lost.length > 0;
}

/** What is less than before, in words; '' = nothing. */
export function loosenedText({ lost, opened }: Loosened): string {
  const names = lost.slice(0, 5).map((name) => JSON.stringify(name));
  const more = lost.length > names.length ? ` and ${lost.length - names.length} more` : '';
  const gone = lost.length === 0 ? [] : [`no longer stopping anything: ${names.join(', ')}${more}`];
  return [...gone, ...(opened ? ['what no policy decides was blocked and is allowed now'] : [])].join('; ');
}

const STOPS: ReadonlySet<Policy['action']> = new Set(['block', 'throttle', 'require_approval', 'steer', 'redact']);

function stopping(set: PolicySet): string[] {
  return examine(set)
    .filter(({ policy, canMatch, remarks }) => {
      const works = policy.enabled && !policy.shadow && canMatch && STOPS.has(policy.action);
      return works && !remarks.some(({ code }) => code === 'overshadowed');
    })
    .map(({ policy }) => policy.name);
}
