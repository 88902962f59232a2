/** What is learned of whose account an agent uses (product.md §6 "Whose account?"). */
export interface AccountStat {
  /** Key the agent learns under. */
  readonly agent: string;
  /** Credential: the host it is used with. Tenant: the service, e.g. `github.com`. */
  readonly place: string;
  readonly kind: AccountKind;
  /** Keyed hash of the credential, or the tenant as `github.com/acme`. */
  readonly value: string;
  /** Epoch ms. */
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly count: number;
}

export type AccountKind = 'credential' | 'tenant';

/** One thing an exchange says about whose account it uses. */
export interface AccountUse {
  readonly place: string;
  readonly kind: AccountKind;
  readonly value: string;
}

/** What a request tells of accounts: its credential with the host, and the tenant it wrote to. `host` as it is shown. */
export function accountUses(request: {
  readonly host: string;
  readonly method: string;
  readonly target: string;
  readonly tenant?: string | undefined;
  readonly credentialFp?: string | undefined;
}): AccountUse[] {
  const { host, tenant, credentialFp } = request;
  const uses: AccountUse[] = [];
  if (credentialFp !== undefined) uses.push({ place: host, kind: 'credential', value: credentialFp });
  if (tenant !== undefined && isWrite(request.method, request.target))
    uses.push({ place: serviceOf(tenant), kind: 'tenant', value: tenant });
  return uses;
}

/** A request that changes something. Git's fetch is a POST that reads (gitprotocol-http). */
function isWrite(method: string, target: string): boolean {
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'CONNECT') return false;
  return !(method === 'POST' && target.endsWith('/git-upload-pack'));
}

/** `github.com/acme` → `github.com`: one service answers under many hosts. */
function serviceOf(tenant: string): string {
  const slash = tenant.indexOf('/');
  return slash < 0 ? tenant : tenant.slice(0, slash);
}
