/** By name, or by the glob that rules it; stopping the default agent does not stop every name nobody configured. */
export function isStopped(
  agent: string,
  stopped: ReadonlySet<string>,
  configKey: (agent: string) => string,
  defaultAgent: string,
): boolean {
  if (stopped.size === 0) return false;
  if (stopped.has(agent)) return true;
  const key = configKey(agent);
  return key !== defaultAgent && stopped.has(key);
}
