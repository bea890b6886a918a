/**
 * From "I want this lock" to a lease.
 *
 * Each acquire has an owner id of its own, made here. Under it a request that lost its reply can be sent again: whoever
 * holds the lock under that id already is given it again, and whoever still stands in line keeps the place. And under
 * it the lock is given back when nobody wants it any more: an acquire that is aborted closes its connection, at which
 * the server takes it out of the line; if the grant was on its way just then, the release by owner catches it.
 *
 * A grant that was waited for counts from a moment that nobody here knows: between the sending and the reply. If that is
 * long ago, measured by the ttl, the lease is extended once before it is handed out, so that there is a sending to
 * measure it from.
 */
import { randomUUID } from 'node:crypto';
import { waitMsMax, lockDurMsMax } from '../shared/limits.ts';
import type { CallSender } from './call-sender.ts';
import type { Answer, Call } from './pending-call.ts';
import { anId, invalid } from './checks.ts';
import { DragonLockError, LockLostError, NotLockedError } from './errors.ts';
import type { Mark } from './lease-clock.ts';
import type { LockFamily } from './lock-family.ts';
import { ttlMin, type Acquisition, type HeldLock, type LockOptions } from './lock.ts';
import type { Recover } from './batch.ts';

const ttlMsDefault = 30_000;
const waitMsDefault = 30_000;

export interface AcquireContext {
  readonly sender: CallSender;
  /** Through the queue: in order with the client's other calls. */
  run(call: Call, names: readonly string[], batch?: string): Promise<Answer>;
  readonly heldLocks: Set<HeldLock>;
  /** Something that goes on behind the caller's back, and that closing waits for. */
  background(work: Promise<unknown>): void;
}

export async function acquire(
  family: LockFamily,
  context: AcquireContext,
  id: string,
  options: LockOptions,
): Promise<Acquisition> {
  const { ttlMs, waitMs } = checked(id, options);
  const { sender } = context;
  const { clock } = sender;
  const owner = randomUUID();
  const startedAt = clock.mark();
  const leftMs = (): number => Math.max(0, waitMs - clock.since(startedAt));
  const { signal, meta } = options;
  signal?.throwIfAborted();
  try {
    for (;;) {
      const request = family.acquire({ id, owner, ttlMs, meta, leftMs: waitMs === 0 ? () => 0 : leftMs });
      const call: Call = { ...request, retry: 'idempotent', waitMs: leftMs(), signal };
      const answer = await (waitMs === 0 ? context.run(call, [family.nameOf(id)], request.batch) : sender.call(call));
      const { Lock: fence, Recover: recover } = answer.body as { Lock: number; Recover?: WireRecover };
      const sentAt = await confirmed(family, context, { id, fence, owner, ttlMs }, answer.sentAt);
      if (sentAt === undefined && leftMs() > 0) continue;
      if (sentAt === undefined) {
        throw new NotLockedError(
          'not_locked',
          `The lock ${JSON.stringify(id)} was granted, and had expired before word of it came.`,
        );
      }
      signal?.throwIfAborted();
      return {
        id,
        fence,
        recover: recoverOf(recover),
        ttlMs,
        sentAt,
        clock,
        heldLocks: context.heldLocks,
        renew: (ttl, timeoutMs) => renew(family, sender, { id, fence, owner, ttlMs: ttl }, timeoutMs),
        giveBack: async () => {
          await context.run(...giveBackCall(family, { id, fence }));
        },
      };
    }
  } catch (error) {
    // Whoever was refused has nothing to give back; anything else may have got it.
    if (!(error instanceof DragonLockError) || error.code === 'outcome_unknown') {
      context.background(forget(family, context, id, owner));
    }
    throw error;
  }
}

export interface Lessee {
  readonly id: string;
  readonly fence: number;
  readonly owner: string;
  readonly ttlMs: number;
}

interface WireRecover {
  readonly Lock: number;
  readonly Meta?: unknown;
  readonly Why: 'expired' | 'forced';
}

/** @returns from when the lease is to be counted; undefined: it has ended already */
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

/** Not through the queue: a renewal must not stand behind what is guarded. */
async function renew(
  family: LockFamily,
  sender: CallSender,
  lessee: Lessee,
  timeoutMs: number | undefined,
): Promise<Mark> {
  const answer = await sender.call({ ...family.renew(lessee), retry: 'idempotent', timeoutMs });
  const { Lock: fence } = answer.body as { Lock: number };
  if (fence !== lessee.fence) {
    // A mutex that was lost is granted anew when its owner asks again: that is another holding, not this one.
    await sender.call({ ...family.giveBack({ id: lessee.id, fence }), retry: 'idempotent', timeoutMs });
    throw new LockLostError(
      'lock_lost',
      `The ${family.kind} ${JSON.stringify(lessee.id)} was lost: it is held anew, under fence ${fence}.`,
      {
        details: { LockID: lessee.id, Why: 'unknown' },
      },
    );
  }
  return answer.sentAt;
}

function giveBackCall(family: LockFamily, of: { id: string; fence: number }): [Call, string[], string | undefined] {
  const { batch, ...call } = family.giveBack(of);
  return [{ ...call, retry: 'idempotent' }, [family.nameOf(of.id)], batch];
}

/** Gives back what was perhaps granted and is not wanted; behind the request that asked for it, if that is under way. */
async function forget(family: LockFamily, context: AcquireContext, id: string, owner: string): Promise<void> {
  const call: Call = { ...family.giveBackByOwner(id, owner), retry: 'idempotent' };
  await context.run(call, [family.nameOf(id)]).catch(() => undefined);
}

function checked(
  id: string,
  { ttl = ttlMsDefault, wait = waitMsDefault }: LockOptions,
): { ttlMs: number; waitMs: number } {
  anId(id, 'id');
  if (!(ttl >= ttlMin && ttl <= lockDurMsMax)) {
    throw invalid(`ttl: expected ${ttlMin} to ${lockDurMsMax} milliseconds, got ${ttl}`);
  }
  if (!(wait >= 0 && wait <= waitMsMax)) throw invalid(`wait: expected 0 to ${waitMsMax} milliseconds, got ${wait}`);
  return { ttlMs: ttl, waitMs: wait };
}

function recoverOf(wire: WireRecover | undefined): Recover | undefined {
  if (wire === undefined) return undefined;
  return { fence: wire.Lock, why: wire.Why, ...(wire.Meta !== undefined && { meta: wire.Meta }) };
}
