/** How a route is described, before the document gives it its form. */
import type { ErrorCode } from '../../../protocol/errors.ts';
import type { Scope } from '../../config-schema.ts';
import type { Schema } from './schemas.ts';

export interface DescribedParameter {
  readonly name: string;
  readonly in: 'query' | 'header';
  readonly description: string;
  readonly required?: true;
  readonly schema: Schema;
}

/** A schema under the name that generated clients give its type. */
export interface NamedSchema {
  readonly name: string;
  readonly schema: Schema;
}

export interface DescribedReply {
  readonly description: string;
  /** Content type → schema; empty: no body. */
  readonly content: Readonly<Record<string, NamedSchema | Schema>>;
}

export interface DescribedRoute {
  /** Its label in metrics too, where it has one. */
  readonly id: string;
  /** The noun under which it stands. */
  readonly tag: string;
  /** One sentence. */
  readonly summary: string;
  readonly parameters?: readonly DescribedParameter[];
  /** Parameters that exclude each other, and whether one is needed. */
  readonly oneOf?: { readonly names: readonly string[]; readonly required: boolean };
  /** Content type → schema. */
  readonly body?: Readonly<Record<string, NamedSchema | Schema>>;
  /** Status → reply. */
  readonly replies: Readonly<Record<number, DescribedReply>>;
  readonly failures: readonly ErrorCode[];
  /** The scopes that a call may need, which depend on what it asks for. Absent: it needs no token. */
  readonly scopes?: readonly Scope[];
}

export function jsonReply(name: string, schema: Schema, description = 'Done.'): DescribedReply {
  return { description, content: { 'application/json': { name, schema } } };
}

export const noContent: DescribedReply = { description: 'Nothing came.', content: {} };

/** What any call on data may be answered. */
export const dataFailures: readonly ErrorCode[] = [
  'invalid',
  'unauthorized',
  'forbidden',
  'too_large',
  'unsupported_media_type',
  'rate_limited',
  'internal',
  'overloaded',
  'draining',
];
/** What any call that writes may be answered besides. */
export const writeFailures: readonly ErrorCode[] = ['disk_full', 'quota_exceeded'];
/** What a call with idempotency ids may be answered besides. */
export const idempotencyFailures: readonly ErrorCode[] = ['request_in_progress', 'idempotency_mismatch'];
