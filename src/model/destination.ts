/** Where an exchange goes. Normalised once, at the edge (`normaliseHost`); everything behind compares plain strings. */
export interface Destination {
  readonly scheme: 'http' | 'https' | 'tcp';
  /** Lower-case A-label or canonical IP literal without brackets, no trailing dot. */
  readonly host: string;
  readonly port: number;
}

/** The baseline's and the upstream pair's key: `host:port` (IPv6 in brackets). */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
