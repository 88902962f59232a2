import { WeirError } from '../model/error.ts';
import type { Checked, Link, Reach, Resolved, UpstreamTls } from '../model/ports.ts';
import { inspect, judge, upstreamOf } from './checkpoint.ts';
import type { LiveExchange } from './live.ts';

/** Judges every resolved address, mints the permit and dials with it. Rejects with WeirError. */
export async function dialResolved(
  exchange: LiveExchange,
  resolved: Resolved,
  tls: UpstreamTls | undefined,
  refuse: () => Checked,
): Promise<Reach> {
  const { stages } = exchange;
  const before = exchange.findings.length;
  inspect(exchange, 'address', { resolved });
  if (exchange.findings.length > before && !judge(exchange)) {
    const refused = refuse();
    if (!refused.forward) return { answer: refused.answer };
  }
  const permit = stages.mintPermit(exchange.ruling, exchange.destination, resolved);
  if (permit === undefined) throw new WeirError('internal', 'no permit for a forwarded exchange');
  const dialled = await upstreamOf(exchange).dial(permit);
  const link: Link = { ...dialled, timings: { dnsMs: resolved.dnsMs, ...dialled.timings } };
  if (tls === undefined) return { link };
  const secured = await upstreamOf(exchange).secure(link, exchange.destination, tls);
  if ('link' in secured) return secured;
  link.socket.destroy();
  throw new WeirError(
    secured.failed === 'unverifiable' ? 'upstream-unverifiable' : 'upstream-tls-failed',
    secured.detail,
  );
}
