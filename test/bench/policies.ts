import { policyInspectors } from '../../src/collector-policy-inspector.ts';
import { parsePolicies } from '../../src/policy/parse.ts';
import { exchangeTo } from '../unit/inspect/support.ts';

/**
 * What one request costs with a hundred policies of the kinds people write (product.md §11: at most 12 µs), as the traffic asks them:
 * node test/bench/policies.ts
 */
const KINDS = [
  (i: number) => `attrs["strathon.http.url"].contains("evil-${i}.example")`,
  (i: number) => `attrs["server.address"] == "host-${i}.example"`,
  (i: number) =>
    `attrs["strathon.tool.name"] == "http.post" && attrs["strathon.http.url"].startsWith("https://up-${i}.")`,
  (i: number) => `attrs["http.request.method"] in ["PUT", "DELETE"] && attrs["url.path"].startsWith("/admin/${i}")`,
  (i: number) => `has(attrs["url.query"]) && attrs["url.query"].contains("token-${i}")`,
  (i: number) => `attrs["weir.agent"] == "agent-${i}" && attrs["weir.destination.first_seen"] == true`,
];
const policies = Array.from({ length: 100 }, (_, i) => ({
  name: `policy-${i}`,
  match_expression: (KINDS[i % KINDS.length] as (i: number) => string)(i),
  action: i % 7 === 0 ? 'alert' : 'block',
  applies_to: i % 5 === 0 ? ['post'] : [],
}));
const { set } = parsePolicies({ policies }, { name: 'bench', kind: 'file' });
const nothing = { get: () => undefined, keys: () => [] };
const [inspector] = policyInspectors({
  set,
  onAbsent: 'not-applicable',
  throttleStatus: 429,
  tally: {
    matched: () => undefined,
    shadowMatched: () => undefined,
    failed: () => undefined,
    notApplicable: () => undefined,
  },
  throttled: () => 0,
  approved: () => false,
  asked: () => undefined,
  more: () => nothing,
  readsTls: () => true,
});
if (inspector === undefined) throw new Error('no inspector');
const exchanges = Array.from({ length: 64 }, (_, i) =>
  exchangeTo(`api-${i}.example.com`, { method: i % 2 === 0 ? 'GET' : 'POST', target: `/v1/things/${i}?page=2` }),
);
const ROUNDS = 2_000;
const runs: number[] = [];
for (let run = 0; run < 12; run++) {
  const began = performance.now();
  for (let i = 0; i < ROUNDS; i++) {
    for (const exchange of exchanges) {
      if (inspector.inspect(exchange, {}).length > 0) throw new Error('a policy matches: this measures something else');
    }
  }
  runs.push(((performance.now() - began) * 1000) / (ROUNDS * exchanges.length));
}
// The first runs warm up.
const settled = runs.slice(4).sort((a, b) => a - b);
const median = settled[Math.floor(settled.length / 2)] as number;
console.log(
  `100 policies: ${median.toFixed(2)} µs a request (${settled.map((us) => us.toFixed(1)).join(' ')}), target ≤ 12`,
);
