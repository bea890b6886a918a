/**
 * What a client may do. The server knows only the SHA-256 of each token. It finds the entry by the hash of the
 * presented token, then compares in constant time, so that neither step reveals how much of a guess was right.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Scope, TokenConfig } from './config-schema.ts';
import { refuse } from './refusal.ts';

/** The accounts and scopes of one token. */
export interface Access {
  readonly accounts: ReadonlySet<string> | '*';
  readonly scopes: ReadonlySet<Scope>;
}

/** Without configured tokens (on a loopback address only) every client may do everything. */
export const openAccess: Access = { accounts: '*', scopes: new Set(['read', 'write', 'force', 'admin']) };

interface KnownToken {
  readonly digest: Buffer;
  readonly access: Access;
}

export class TokenIndex {
  readonly #byHash: ReadonlyMap<string, KnownToken>;

  constructor(tokens: readonly TokenConfig[]) {
    this.#byHash = new Map(
      tokens.map(({ sha256, accounts, scopes }) => {
        const access: Access = { accounts: accounts === '*' ? '*' : new Set(accounts), scopes: new Set(scopes) };
        return [sha256, { digest: Buffer.from(sha256, 'hex'), access }];
      }),
    );
  }

  /** @returns undefined for a missing, malformed or unknown token; callers do not tell the client which */
  find(authorization: string | undefined): Access | undefined {
    if (authorization === undefined) return undefined;
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) return undefined;
    const hex = hash('sha256', token, 'hex');
    const known = this.#byHash.get(hex);
    return known !== undefined && timingSafeEqual(known.digest, Buffer.from(hex, 'hex')) ? known.access : undefined;
  }
}

/** @throws Refusal 403 */
export function requireScope(access: Access, scope: Scope, what: string): void {
  if (!access.scopes.has(scope)) refuse('forbidden', `${what} needs a token with the scope "${scope}"`);
}
