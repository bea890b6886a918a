/**
 * Acquires a lock or a mutex.
 *
 * Each acquire makes an owner id of its own. With that id a request whose reply was lost can be sent again: the server
 * returns the same grant to an owner that already holds the lock, and an owner that still waits keeps its place. An
 * aborted acquire closes its connection, and the server then takes it out of the wait queue. The grant may already be
 * on its way at that moment, so the client also releases the lock by owner.
 *
 * After a wait, the client does not know when its lease began: the server granted it at some moment between the request
 * and the reply. If the request is old, measured by the ttl, the client renews the lease once before it returns the
 * lock, and counts from the renewal instead.
 */
import { randomUUID } from 'node:crypto';
import { waitMsMax, lockDurMsMax } from '../shared/limits.ts';
import { currentCaller } from './caller.ts';
import type { CallSender } from './call-sender.ts';
import type { Answer, Call } from './pending-call.ts';
import { anId, durationMs } from './checks.ts';
import { inClientNames } from './client-names.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { DragonLockError, LockLostError, NotLockedError, type ClientErrorCode } from './errors.ts';
import { checkJson } from './json-values.ts';
import type { Mark } from './lease-clock.ts';
import type { AcquireRequest, LockFamily } from './lock-family.ts';
import { ttlMin, type Acquisition, type LockOptions } from './lock.ts';
import type { OpenLocks } from './open-locks.ts';
import type { Recover } from './batch-result.ts';

const ttlMsDefault = 30_000;
const waitMsDefault = 30_000;

export interface AcquireContext {
  readonly sender: CallSender;
  /** Sends through the call queue: in order with the client's other calls. */
  run(call: Call, names: readonly string[], batch?: string): Promise<Answer>;
  readonly open: OpenLocks;
}

/** After these the server may have granted the lock. */
const doubtfulCodes: ReadonlySet<string> = new Set([
  'outcome_unknown',
  'closed',
  'not_dragonlock',
  'internal',
] satisfies (ErrorCode | ClientErrorCode)[]);

/** A lock of several is named by its first. */
export type AcquireOptions = LockOptions & { readonly signal: AbortSignal; readonly limit?: number | undefined };

/** @param options with the signal of `OpenLocks`: it fires when the client is closed, too */
export async function acquire(
  family: LockFamily,
  context: AcquireContext,
  id: string,
  options: AcquireOptions,
): Promise<Acquisition> {
  const caller = currentCaller();
  const { ttlMs, waitMs } = checked(id, options);
  const { sender, open } = context;
  const { clock } = sender;
  const owner = randomUUID();
  const startedAt = clock.mark();
  const leftMs = (): number => Math.max(0, waitMs - clock.since(startedAt));
  const { signal, meta, read, limit } = options;
  let granted = false;
  try {
    for (;;) {
      const left = waitMs === 0 ? () => 0 : leftMs;
      const request = family.acquire({ id, owner, ttlMs, meta, read, limit, leftMs: left });
      const call: Call = { ...request, retry: 'idempotent', waitMs: leftMs(), signal };
      const answer = await (waitMs === 0 ? context.run(call, family.namesOf(id), request.batch) : sender.call(call));
      const { Lock: fence, Recover: recover } = answer.body as { Lock: number; Recover?: WireRecover | [WireRecover] };
      granted = true;
      const sentAt = await confirmed(family, context, { id, fence, owner, ttlMs, signal }, answer.sentAt);
      granted = sentAt !== undefined;
      if (sentAt === undefined && leftMs() > 0) continue;
      if (sentAt === undefined) {
        throw new NotLockedError(
          'not_locked',
          `The lock ${JSON.stringify(id)} was granted, but expired before the reply came.`,
        );
      }
      signal.throwIfAborted();
      return {
        id,
        fence,
        recover: recoverOf(recover),
        ttlMs,
        sentAt,
        clock,
        caller,
        open,
        // Closing waits for it: a renewal that arrives after the release can take a mutex anew.
        renew: (ttl, timeoutMs) => open.track(renew(family, sender, { id, fence, owner, ttlMs: ttl }, timeoutMs)),
        release: async () => {
          await context.run(...releaseCall(family, { id, fence }));
        },
      };
    }
  } catch (error) {
    // A refused acquire has nothing to give back, and neither has one that was never sent.
    const doubtful = granted || !(error instanceof DragonLockError) || doubtfulCodes.has(error.code);
    if (doubtful && sender.contacted) {
      void open.track(abandon(family, context, { id, owner, ttlMs, read, limit, waited: waitMs > 0 }));
    }
    throw inClientNames(error, renaming);
  }
}

/** The options of a lock, as messages of the server would name them. */
const renaming = { 'lock.': '', 'dur:': 'ttl:' } as const;

export interface Lessee {
  readonly id: string;
  readonly fence: number;
  readonly owner: string;
  readonly ttlMs: number;
  readonly signal?: AbortSignal;
}

interface WireRecover {
  readonly Lock: number;
  readonly Meta?: unknown;
  readonly Why: 'expired' | 'forced';
}

/** Renews a grant that may be old. @returns the time to count the lease from; undefined: the lease has ended */
async function confirmed(
  family: LockFamily,
  { sender }: AcquireContext,
  lessee: Lessee,
  sentAt: Mark,
): Promise<Mark | undefined> {
  if (sender.clock.since(sentAt) < lessee.ttlMs / 4) return sentAt;
  try {
    return await renew(family, sender, lessee, undefined);
  } catch (error) {
    if (error instanceof LockLostError) return undefined;
    throw error;
  }
}

/** Bypasses the call queue: a renewal must not wait for the calls that the lock guards. */
async function renew(
  family: LockFamily,
  sender: CallSender,
  lessee: Lessee,
  timeoutMs: number | undefined,
): Promise<Mark> {
  const { signal } = lessee;
  const answer = await sender.call({ ...family.renew(lessee), retry: 'idempotent', timeoutMs, signal });
  const { Lock: fence } = answer.body as { Lock: number };
  if (fence !== lessee.fence) {
    // The server grants a lost mutex anew when its owner asks again. That is another lease, not this one.
    await sender.call({ ...family.release({ id: lessee.id, fence }), retry: 'idempotent', timeoutMs });
    throw new LockLostError(
      'lock_lost',
      `The ${family.kind} ${JSON.stringify(lessee.id)} was lost, and then granted anew with fence ${fence}.`,
      {
        details: { LockID: lessee.id, Why: 'unknown' },
      },
    );
  }
  return answer.sentAt;
}

function releaseCall(
  family: LockFamily,
  of: { id: string; fence: number },
): [Call, readonly string[], string | undefined] {
  const { batch, ...call } = family.release(of);
  return [{ ...call, retry: 'idempotent' }, family.namesOf(of.id), batch];
}

/**
 * Releases what may have been granted to an abandoned acquire; if its request is in flight, after that request. The
 * acquire may still wait at the server, because a proxy can keep up the connection of a client that has gone. Another
 * request of the same owner takes its place in the queue, and ends at once.
 */
async function abandon(family: LockFamily, context: AcquireContext, { waited, ...asked }: Abandoned): Promise<void> {
  const { id, owner } = asked;
  const name = family.namesOf(id);
  try {
    // Of several locks it has all or none.
    const calls = family.releaseByOwner(id, owner);
    await Promise.all(calls.map((call) => context.run({ ...call, retry: 'idempotent' }, name)));
  } catch (error) {
    if (!(waited && error instanceof LockLostError)) return;
    const { batch: _, ...last } = family.acquire({ ...asked, meta: undefined, leftMs: () => 1 });
    try {
      const { body } = await context.run({ ...last, retry: 'idempotent', waitMs: 1 }, name);
      await context.run(...releaseCall(family, { id, fence: Number(body['Lock']) }));
    } catch {
      // The usual case: somebody else has the lock, and nobody waits for us any more.
    }
  }
}

interface Abandoned extends Omit<AcquireRequest, 'meta' | 'leftMs'> {
  readonly waited: boolean;
}

function checked(id: string, options: LockOptions): { ttlMs: number; waitMs: number } {
  anId(id, 'id');
  const { ttl = ttlMsDefault, wait = waitMsDefault, meta } = options;
  if (meta !== undefined) checkJson(meta, 'meta');
  return {
    ttlMs: durationMs(ttl, 'ttl', { min: ttlMin, max: lockDurMsMax }),
    waitMs: durationMs(wait, 'wait', { min: 0, max: waitMsMax }),
  };
}

/** Of several locks the first that was lost. */
function recoverOf(told: WireRecover | [WireRecover] | undefined): Recover | undefined {
  const wire = Array.isArray(told) ? told[0] : told;
  if (wire === undefined) return undefined;
  return { fence: wire.Lock, why: wire.Why, ...(wire.Meta !== undefined && { meta: wire.Meta }) };
}
