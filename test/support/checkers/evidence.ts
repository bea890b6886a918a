/** What an answer shows of the commits of others: versions, fences and stored replies, each with its revision. */
import { isDeepStrictEqual } from 'node:util';
import type { Body } from '../contract/expected.ts';
import type { Answer, Operation } from './history.ts';
import { nameOf } from '../contract/state.ts';
import { mayWrite } from './string-op-effects.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

export interface Evidence {
  readonly name: string;
  readonly rev: number;
  /** Whether an operation can have left it. */
  readonly wrote: (operation: Operation) => boolean;
  /** The version of a key, which stood until it was read. */
  readonly version?: true;
  /** The reply of that operation. */
  readonly stored?: Body;
}

export function* evidenceIn({ call, answer }: Operation): Generator<Evidence> {
  if (answer === undefined) return;
  const { account } = call;
  const { body } = answer;
  for (const item of [...(body.KV ?? [body]), ...(body.Failed ?? [])]) {
    const { Key, Version = 0 } = item;
    if (Key === undefined || Version === 0) continue;
    yield { name: nameOf('kv', account, Key), rev: Version, version: true, wrote: gave(Key, item) };
  }
  if (call.kind !== 'batch') return;
  if (call.lock !== undefined) {
    const { id } = call.lock;
    for (const rev of [body.Lock, body.Recover?.Lock]) {
      if (rev !== undefined) yield { name: nameOf('lock', account, id), rev, wrote: took(id) };
    }
  }
  yield* storedIn(call, body, answer);
}

function* storedIn(call: Batch, body: Body, answer: Answer): Generator<Evidence> {
  const { idempotency, account } = call;
  const stored = answer.replayed ? body : body.Response;
  const rev = body.Rev;
  if (idempotency === undefined || rev === undefined || (body.IDs === undefined && !answer.replayed)) return;
  const wrote = (operation: Operation): boolean => {
    const { fingerprint } = operation.call.kind === 'batch' ? (operation.call.idempotency ?? {}) : {};
    // Of another payload all that is known is that it was another.
    return answer.status === 422 || body['Same'] === false || fingerprint === idempotency.fingerprint;
  };
  for (const id of idempotency.ids) {
    yield { name: nameOf('stored', account, id), rev, wrote, ...(stored === undefined ? {} : { stored }) };
  }
}

function gave(key: string, { Value }: Body): Evidence['wrote'] {
  return ({ call }) => {
    if (call.kind === 'batch' && call.ops?.some((op) => op.key === key && mayWrite(op)) === true) return true;
    const last = call.kind === 'batch' ? call.set?.findLast((ask) => ask.key === key) : undefined;
    if (last?.value === undefined) return false;
    return Value === undefined || isDeepStrictEqual(JSON.parse(last.value), Value);
  };
}

/** A lease that is extended keeps its fence. */
function took(id: string): Evidence['wrote'] {
  return ({ call }) => call.kind === 'batch' && call.lock?.id === id && call.lock.extend === undefined;
}
