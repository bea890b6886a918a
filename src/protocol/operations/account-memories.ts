/**
 * Lines of an export about what an account remembers: how much of its rate limits is taken, the replies under its
 * idempotency ids, and how the leases of its locks have ended.
 *
 *   limit   `AtMs`, and `TakenMicros`: how long from then on until all of it is there again
 *   id      `Stored`: the reply, as shard-worker/core/batch/stored-reply.ts has it; `TillMs`
 *   lock    `Ended`: its last leases, newest first; `Held`: the lease that goes on where the export was made, which is
 *           over wherever it is imported, so that nobody holds a lock in two places
 *   dedup   of a queue: `Key` is a DedupID that has counted, until `TillMs`; `Deletions` of the queue so far
 */
import { Type } from 'typebox';
import {
  auditReasonCharsMax,
  integerMax,
  lockHistoryMax,
  lockMetaBytesMax,
  tillMsMax,
  type Limits,
} from '../../shared/limits.ts';
import { unreachable } from '../../shared/assert.ts';
import { refuse, refuseField } from '../refusal.ts';
import { anyJson, closed, jsonText, keyField, listField, readKey } from './fields.ts';

export const momentField = Type.Integer({ minimum: 0, maximum: tillMsMax, expected: 'milliseconds since the epoch' });
export const countField = Type.Integer({ minimum: 0, maximum: integerMax, expected: 'an integer from 0 to 2^53−1' });

const endings = ['released', 'expired', 'forced'] as const;
const aLease = { Lock: countField, Owner: Type.Optional(keyField), Meta: Type.Optional(anyJson) };
const reasonText = Type.String({
  maxLength: auditReasonCharsMax,
  expected: `a string of at most ${auditReasonCharsMax} characters`,
});

const held = Type.Object({ ...aLease, TillMs: momentField }, { ...closed, expected: '{"Lock","TillMs"}' });
const ended = Type.Object(
  {
    ...aLease,
    Why: Type.Enum(endings, { expected: `one of ${endings.join(', ')}` }),
    AtMs: momentField,
    Reason: Type.Optional(reasonText),
    Shared: Type.Optional(Type.Literal(true, { expected: 'true' })),
  },
  { ...closed, expected: '{"Lock","Why","AtMs"}' },
);

export const memoryKinds = ['limit', 'id', 'lock', 'dedup'] as const;
export const memoryMembers = {
  TakenMicros: Type.Optional(countField),
  Stored: Type.Optional(listField(anyJson, 'a list', 6)),
  Held: Type.Optional(held),
  Ended: Type.Optional(listField(ended, 'a list of leases that have ended')),
};

export interface MemoryLine {
  readonly Kind: (typeof memoryKinds)[number];
  readonly Key?: string;
  readonly Queue?: string;
  readonly TillMs?: number;
  readonly Deleted?: boolean;
  readonly AtMs?: number;
  readonly TakenMicros?: number;
  readonly Stored?: readonly unknown[];
  readonly Held?: Type.Static<typeof held>;
  readonly Ended?: readonly Type.Static<typeof ended>[];
}

export interface LoadedLease {
  readonly fence: number;
  readonly owner?: string;
  /** JSON text. */
  readonly meta?: string;
}

export interface LoadedEnd extends LoadedLease {
  readonly why: (typeof endings)[number];
  readonly at: number;
  readonly reason?: string;
  readonly shared?: true;
}

/** What an import puts of it. */
export type LoadedMemory =
  | { readonly kind: 'limit'; readonly at: number; readonly takenMicros: number }
  | { readonly kind: 'id'; readonly stored: string; readonly till: number }
  | {
      readonly kind: 'lock';
      readonly held?: LoadedLease & { readonly till: number };
      readonly ended: readonly LoadedEnd[];
      /** 0: from now on as long as any. */
      readonly till: number;
    }
  /** `key` is the queue. */
  | { readonly kind: 'dedup'; readonly dedup: string; readonly till: number }
  /** It was forgotten during the export. Here nothing is: what an account remembers of its own stays. */
  | { readonly kind: 'forgotten' };

/** A stored reply begins so: version, fingerprint, revision, time, names, results. */
const storedVersion = 2;

/** @throws Refusal */
export function readMemory(line: MemoryLine, path: string, limits: Limits): LoadedMemory & { readonly key: string } {
  const { Kind, Deleted, TillMs = 0 } = line;
  const need = <Value>(name: string, value: Value | undefined): Value =>
    value === undefined ? refuseField(`${path}.${name}`, `missing in a line of kind ${Kind}`) : value;
  const key = readKey(need('Key', line.Key), `${path}.Key`);
  if (Deleted === true) return { kind: 'forgotten', key };
  switch (Kind) {
    case 'dedup': {
      const queue = readKey(need('Queue', line.Queue), `${path}.Queue`);
      return { kind: Kind, key: queue, dedup: key, till: need('TillMs', line.TillMs) };
    }
    case 'limit': {
      const takenMicros = need('TakenMicros', line.TakenMicros);
      const at = need('AtMs', line.AtMs);
      return { kind: Kind, key, at, takenMicros };
    }
    case 'id':
      return {
        kind: Kind,
        key,
        stored: readStored(need('Stored', line.Stored), `${path}.Stored`, limits),
        till: TillMs,
      };
    case 'lock': {
      const { Ended = [], Held } = line;
      if (Ended.length > lockHistoryMax) {
        const most = `${lockHistoryMax} leases that have ended`;
        return refuse('too_large', `${path}.Ended: ${Ended.length} leases; expected at most ${most}`);
      }
      const last = Ended.map((one, i) => ({
        ...readLease(one, `${path}.Ended[${i}]`),
        why: one.Why,
        at: one.AtMs,
        ...(one.Reason !== undefined && one.Why === 'forced' && { reason: one.Reason }),
        ...(one.Shared === true && { shared: true as const }),
      }));
      const lease = Held && { ...readLease(Held, `${path}.Held`), till: Held.TillMs };
      return { kind: Kind, key, ended: last, till: TillMs, ...(lease !== undefined && { held: lease }) };
    }
    default:
      return unreachable(Kind);
  }
}

function readStored(row: readonly unknown[], path: string, limits: Limits): string {
  const [version, fingerprint, rev, now, asked, results] = row;
  const isRow =
    version === storedVersion &&
    row.length === 6 &&
    typeof fingerprint === 'string' &&
    Number.isSafeInteger(rev) &&
    Number.isSafeInteger(now) &&
    typeof (asked as { format?: unknown } | null)?.format === 'string' &&
    typeof results === 'object' &&
    results !== null;
  if (!isRow) return refuseField(path, 'expected Stored as an export has it');
  return jsonText(row, path, { bytes: limits.body_bytes_max, name: 'limits.body_bytes_max' });
}

const metaLimit = { bytes: lockMetaBytesMax, name: 'the limit of LockMeta' };

function readLease(
  { Lock, Owner, Meta }: { readonly Lock: number; readonly Owner?: string; readonly Meta?: unknown },
  path: string,
): LoadedLease {
  return {
    fence: Lock,
    ...(Owner !== undefined && { owner: readKey(Owner, `${path}.Owner`) }),
    ...(Meta !== undefined && { meta: jsonText(Meta, `${path}.Meta`, metaLimit) }),
  };
}
