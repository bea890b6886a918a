/**
 * What a client may do. The server knows only the SHA-256 of each token. It finds the entry by the hash of the
 * presented token, then compares in constant time, so that neither step reveals how much of a guess was right.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  operationsOf,
  sectionNames,
  sections,
  sectionsIn,
  specOf,
  type Command,
  type SectionName,
} from '../protocol/operations/operations.ts';
import { scopes, type Scope, type TokenConfig } from './config-schema.ts';
import type { NeededScope } from '../protocol/operations/section.ts';
import { refuse } from '../protocol/refusal.ts';
import { assert } from '../shared/assert.ts';

/** What one token may do, and whose it is. */
export interface Access {
  /** Of the token; empty without configured tokens. */
  readonly name: string;
  readonly accounts: ReadonlySet<string> | '*';
  readonly scopes: ReadonlySet<Scope>;
}

/** Without configured tokens (on a loopback address only) every client may do everything. */
export const openAccess: Access = { name: '', accounts: '*', scopes: new Set(scopes) };

/** A connection that was let in by a token. */
export interface TokenHolder {
  /** Of its last request, or of its login. */
  readonly access: Access | undefined;
  /** The token is not valid any more, or may do something else now. */
  tokenIsGone(): void;
}

interface KnownToken {
  readonly digest: Buffer;
  readonly access: Access;
}

/**
 * The tokens that are valid now. All doors of a front end share one table and ask it at each request or login, so that
 * `replace` counts from the next one on.
 */
export class TokenTable {
  readonly #holders = new Set<TokenHolder>();
  /** There are no tokens. Fixed at start: hosts and origins are checked only then, once a connection. */
  readonly isOpen: boolean;
  #byHash: ReadonlyMap<string, KnownToken>;

  constructor(tokens: readonly TokenConfig[]) {
    this.isOpen = tokens.length === 0;
    this.#byHash = byHash(tokens);
  }

  /** Puts other tokens in the place of all. */
  replace(tokens: readonly TokenConfig[]): void {
    assert((tokens.length === 0) === this.isOpen, 'whether there are tokens changes only with a restart');
    const before = this.#byHash;
    this.#byHash = byHash(tokens, before);
    const valid = new Set([...this.#byHash.values()].map(({ access }) => access));
    for (const holder of this.#holders) {
      if (holder.access !== undefined && !valid.has(holder.access)) holder.tokenIsGone();
    }
  }

  /** Whoever is let in by a token is told when it is gone. Call `release` in the end. */
  hold(holder: TokenHolder): void {
    if (!this.isOpen) this.#holders.add(holder);
  }

  release(holder: TokenHolder): void {
    this.#holders.delete(holder);
  }

  /** @returns undefined for a missing, malformed or unknown token; callers do not tell the client which */
  find(authorization: string | undefined): Access | undefined {
    if (this.isOpen) return openAccess;
    if (authorization === undefined) return undefined;
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    return token === undefined ? undefined : this.findToken(token);
  }

  /** As `find`, by the token itself. */
  findToken(token: string): Access | undefined {
    if (this.isOpen) return openAccess;
    const hex = hash('sha256', token, 'hex');
    const known = this.#byHash.get(hex);
    return known !== undefined && timingSafeEqual(known.digest, Buffer.from(hex, 'hex')) ? known.access : undefined;
  }
}

type KnownTokens = ReadonlyMap<string, KnownToken>;

/** A token that is as it was before keeps its `Access`. */
function byHash(tokens: readonly TokenConfig[], before: KnownTokens = new Map()): KnownTokens {
  return new Map(
    tokens.map(({ sha256, name, accounts, scopes }) => {
      const access: Access = { name, accounts: accounts === '*' ? '*' : new Set(accounts), scopes: new Set(scopes) };
      const known = before.get(sha256);
      if (known !== undefined && isDeepStrictEqual(known.access, access)) return [sha256, known];
      return [sha256, { digest: Buffer.from(sha256, 'hex'), access }];
    }),
  );
}

/** @throws Refusal 403 */
export function requireScope(access: Access, scope: Scope, what: string): void {
  if (!access.scopes.has(scope)) refuse('forbidden', `${what} needs a token with the scope "${scope}"`);
}

/** The scopes that a command needs. */
export interface NeededScopes {
  readonly read: boolean;
  readonly write: boolean;
  readonly force: boolean;
  readonly admin: boolean;
  readonly task: boolean;
  readonly script: boolean;
}

/**
 * A batch needs the scopes of everything that it does; one that only checks conditions needs `read`.
 *
 * @throws Refusal 403
 */
export function requireScopes(access: Access, command: Command): NeededScopes {
  const needed = scopesOf(command);
  if (needed.force) requireScope(access, 'force', 'Unlocking without its fencing token or owner');
  if (needed.admin) requireScope(access, 'admin', 'Administering the account');
  if (needed.task) requireScope(access, 'task', 'A task that sends requests');
  if (needed.script) requireScope(access, 'script', 'Storing scripts');
  if (needed.write) requireScope(access, 'write', 'Writing');
  if (needed.read) requireScope(access, 'read', 'Reading');
  return needed;
}

/** By the number of its bit in `sectionsIn`: a look for each section that there is would be a twentieth of a request. */
const sectionOfBit: SectionName[] = [];
for (const name of sectionNames) sectionOfBit[highestBit(sectionsIn({ [name]: true }))] = name;

function highestBit(bits: number): number {
  return 31 - Math.clz32(bits);
}

export function scopesOf(command: Command): NeededScopes {
  const needed = { read: false, write: false, force: false, admin: false, task: false, script: false };
  if (command.kind !== 'batch') {
    needed[specOf(command).scope(command as never)] = true;
    return needed;
  }
  for (let bits = sectionsIn(command); bits !== 0; bits &= bits - 1) {
    const name = sectionOfBit[highestBit(bits & -bits)]!;
    const { scope } = sections[name];
    for (const operation of operationsOf(command, name)) {
      const needs = scope(operation);
      if (typeof needs === 'string') need(needed, needs);
      else for (const one of needs) need(needed, one);
    }
  }
  if (command.idempotency !== undefined && !needed.script) needed.write = true;
  const { write, force, admin, task, script } = needed;
  if (!write && !force && !admin && !task && !script) needed.read = true;
  return needed;
}

function need(needed: Record<Exclude<NeededScope, 'condition'>, boolean>, one: NeededScope): void {
  if (one !== 'condition') needed[one] = true;
}
