/**
 * What clients saw of a server: the one form that the simulator, which asks a router, and black-box tests, which speak
 * HTTP, both write down, and that all checkers of this folder read.
 *
 * An operation is a command with its answer. Commands are what the HTTP edge makes of a body, so that a test over HTTP
 * writes down the command beside the body that it sends. The items of an array body are operations of their own, and
 * what is answered in two ways (a fingerprint, an owner) is what the client chose: only equality matters.
 *
 * Times are milliseconds on one clock, which is also the server's but for `clockToleranceMs` (the simulated clock; wall
 * time in a test on one machine). They need not be whole numbers. A server that starts again is an event of its own:
 * mutexes and waiters are gone, leases get their grace, and what was asked before cannot happen after.
 */
import { mayErase, mayWrite, surelyWrites } from './string-op-effects.ts';
import type { Body } from '../contract/expected.ts';
import type { LogRecord } from './commit-log.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';

export interface History {
  /** In any order. */
  readonly operations: readonly Operation[];
  /** In the order in which they happened. */
  readonly restarts?: readonly Restart[];
  /** All that the server ever wrote and kept, where a test can see that: then nothing has to be guessed. */
  readonly log?: readonly LogRecord[];
}

export interface Operation {
  /** How messages name it. */
  readonly id: number | string;
  readonly client: number | string;
  readonly call: Command;
  readonly sentAt: number;
  /** Absent: nobody knows what came of it. It happened once, or not at all. */
  readonly answer?: Answer;
}

export interface Answer {
  readonly at: number;
  readonly status: number;
  /** The parsed body; of an item of an array body without its `Status`. `{}` for 204. */
  readonly body: Body;
  /** The revision that the reply depends on, where that is known: `Reply.rev` of a router. HTTP tells it as `Rev`. */
  readonly rev?: number;
  /** The stored reply of an earlier request: `Idempotent-Replayed`. */
  readonly replayed?: true;
}

export interface Restart {
  /** From when on the old process answered nothing. */
  readonly downAt: number;
  /** The new one read the wall clock not before this, and not after `upAt`. */
  readonly startedAt: number;
  readonly upAt: number;
  /** How often it was started until it served; each takes a revision. Absent: once. */
  readonly starts?: number;
  /** The revision of the start that served, where there is a log. */
  readonly rev?: number;
}

/** What a checker has to say. Undecided: it may be a fault, and may be an unknown outcome that was guessed wrong. */
export interface Violation {
  readonly verdict: 'violation' | 'undecided';
  readonly message: string;
  /** Ids of the operations that it is about. */
  readonly operations: readonly (number | string)[];
}

/** Without what only the server knows. */
export function asSeen({ operations, restarts = [] }: History): History {
  return { operations, restarts };
}

/** The revision at which an answer says that it was true; undefined when it claims none. */
export function claimedRevision(answer: Answer): number | undefined {
  if (answer.rev !== undefined) return answer.rev;
  return answer.status === 200 && answer.replayed === undefined ? answer.body.Rev : undefined;
}

/** For people: which operation, by whom, asking what. */
export function describe(operation: Operation): string {
  const { id, client, call, sentAt, answer } = operation;
  const when = answer === undefined ? `sent at ${sentAt}, never answered` : `${sentAt}–${answer.at}`;
  return `operation ${id} (client ${client}, ${describeCall(call)}, ${when})`;
}

function describeCall(call: Command): string {
  const { kind, account: _, ...rest } = call;
  const asked = JSON.stringify({ ...rest, format: undefined, idempotency: undefined });
  const what = kind === 'batch' && call.format !== 'batch' ? call.format : kind;
  return `${what} ${asked.length > 160 ? `${asked.slice(0, 160)}…` : asked}`;
}

/** Whether a command can change anything that has a revision. */
export function mayCommit(call: Command): boolean {
  if (call.kind !== 'batch') return false;
  if (call.lock ?? call.unlock ?? call.locks ?? call.unlocks ?? call.idempotency ?? call.wipe ?? call.load) return true;
  if (call.script !== undefined) return true;
  if (call.sequence !== undefined && call.sequence.op !== 'get') return true;
  if ((call.limit ?? []).some(({ cost }) => cost > 0)) return true;
  if (call.ops?.some(mayWrite)) return true;
  if (call.ack ?? call.nack ?? call.extend ?? call.dequeue ?? call.enqueue ?? call.queueChange ?? call.clear)
    return true;
  return call.set !== undefined || (call.counter ?? []).some(({ op }) => op !== 'get');
}

/** Whether the answer can only come from a commit. Of the others in `mayCommit` only a model can tell. */
export function surelyCommitted(call: Command, answer: Answer): boolean {
  if (call.kind !== 'batch' || answer.status !== 200 || answer.replayed) return false;
  if (call.lock ?? call.locks ?? call.idempotency) return true;
  if (call.script?.source !== undefined) return true;
  if ((call.limit ?? []).some(({ cost }) => cost > 0)) return true;
  if (call.sequence?.op === 'next' || answer.body.Deleted === true) return true;
  if (call.clear !== undefined) return Number(answer.body.Deleted) > 0;
  if (surelyChangedQueue(call, answer.body)) return true;
  if ((call.counter ?? []).some(({ op }) => op !== 'get' && op !== 'reset')) return true;
  if ((answer.body.Atomic ?? []).some(({ Old }, i) => Old !== undefined && call.counter?.[i]?.op === 'reset'))
    return true;
  if (surelyWrites(call.ops ?? [], answer.body.Ops ?? [])) return true;
  if (call.format === 'counter.reset') return answer.body.Old !== undefined;
  if ((answer.body.KVSet ?? []).some(({ Deleted }) => Deleted === true)) return true;
  const { set = [], ops = [] } = call;
  return set.some(
    ({ key, value }, i) =>
      value !== undefined &&
      !set.some((ask, j) => j > i && ask.key === key && ask.value === undefined) &&
      !ops.some((op) => op.key === key && mayErase(op)),
  );
}

function surelyChangedQueue({ ack, nack, extend, dequeue, enqueue, queueChange }: Batch, body: Body): boolean {
  if (ack ?? nack ?? extend) return true;
  const { Redriven = 0, Skipped = 0, Enqueue, Dequeue, Messages } = body as QueueBody;
  if (queueChange !== undefined) return queueChange.change !== 'redrive' || Redriven + Skipped > 0;
  if (enqueue !== undefined && (Enqueue ?? [body]).some(({ Duplicate }) => Duplicate === undefined)) return true;
  // What the same attempt took before is told again, and nothing is committed.
  if (dequeue?.attempt !== undefined) return false;
  return dequeue !== undefined && (Dequeue?.Messages ?? Messages ?? []).some(({ Lock }) => Lock === body.Rev);
}

interface QueueBody {
  readonly Redriven?: number;
  readonly Skipped?: number;
  readonly Enqueue?: readonly Body[];
  readonly Dequeue?: { readonly Messages: readonly Body[] };
  readonly Messages?: readonly Body[];
}
