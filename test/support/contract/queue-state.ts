/** What the model remembers of a queue: its messages in one list, whatever their state. */
import type { QueuePolicy } from '../../../src/protocol/operations/queue-policy.ts';

export interface Message {
  readonly id: string;
  readonly group?: string;
  /** JSON text. */
  readonly data: string;
  readonly priority: number;
  readonly at: number;
  /** 0: never. */
  readonly until: number;
  /** Grows with each message that is enqueued. */
  readonly order: number;
  /** In the line, among messages without a group. */
  place: number;
  readonly isDelayed: boolean;
  state: 'ready' | 'out' | 'wait' | 'blocked' | 'dead';
  /** When the lease, the delay or the memory of the dead ends. */
  till: number;
  durMs: number;
  attempts: number;
  /** −1: it was never delivered. */
  lock: number;
  nacked: boolean;
  error?: string;
}

export interface QueueEntry {
  readonly policy: QueuePolicy;
  readonly paused: boolean;
  readonly purged: number;
  /** Messages that a purge has left behind until then. */
  readonly unswept: { readonly till: number; readonly messages: number };
  /** Commits so far, and what became ready in the last one. */
  readonly commit: number;
  readonly count: number;
  readonly messages: readonly Message[];
  readonly seen: readonly { readonly dedup: string; readonly id: string; readonly till: number }[];
  readonly attempts: readonly {
    readonly attempt: string;
    readonly till: number;
    readonly lock: number;
    readonly ids: readonly string[];
  }[];
  /** Of groups that are ready. */
  readonly places: Readonly<Record<string, number>>;
  readonly last: Readonly<Record<string, { lock: number; nacked: boolean }>>;
}

/** When something of it ends by itself. */
export function nextOf({ messages, seen, attempts }: QueueEntry): number {
  const ends = messages.flatMap(({ state, till, until }) => [
    state === 'out' || state === 'wait' || state === 'dead' ? till : Infinity,
    state !== 'out' && state !== 'dead' && until !== 0 ? until : Infinity,
  ]);
  return Math.min(Infinity, ...ends, ...[...seen, ...attempts].map(({ till }) => till || Infinity));
}
