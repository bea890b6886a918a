/** What a batch does with messages of queues, as callers write it, and what comes of it. */
import type { Duration } from './checks.ts';

/** What holds a message. A message of this client is one, too. */
export interface MessageReceipt {
  /** Name of the queue. */
  readonly queue: string;
  /** The ID of the message. */
  readonly id: string;
  /** The `lock` of its delivery. Without it only a dead message is acked. */
  readonly lock?: number | undefined;
}

/** Gives a message back. */
export interface NackOperation extends MessageReceipt {
  /** Milliseconds, or `'60s'`, until it is ready again. Default: what the policy of the queue says. */
  readonly delay?: Duration | undefined;
  /** Why, in at most 1 KiB. The next consumer gets it as `lastError`. */
  readonly error?: string | undefined;
  /** It was not begun: the attempt does not count, and it takes its old place in the line. */
  readonly return?: boolean | undefined;
}

/** Keeps a message for longer. */
export interface ExtendOperation extends MessageReceipt {
  /** Milliseconds, or `'60s'`, from now on. */
  readonly ttl: Duration;
}

/** Takes messages. */
export interface DequeueOperation {
  /** Name of the queue. */
  readonly queue: string;
  /** How many at most. Default 1. */
  readonly max?: number | undefined;
  /** How many of one group at most. Default 1. */
  readonly groupMax?: number | undefined;
  /** Milliseconds, or `'60s'`, for which the messages are out. Default 30 seconds. */
  readonly ttl?: Duration | undefined;
  /** Milliseconds, or `'20s'`, to wait for a message, at most 5 minutes. Default 0. */
  readonly wait?: Duration | undefined;
  /** The same call again, with the same id, gets the same messages. */
  readonly attempt?: string | undefined;
}

/** Puts a message into a queue. */
export interface EnqueueOperation extends SendOptions {
  /** Name of the queue. */
  readonly queue: string;
  /** Any JSON. */
  readonly data: unknown;
}

/** How a message is enqueued. */
export interface SendOptions {
  /** Messages of one group are delivered strictly one after the other. */
  readonly group?: string | undefined;
  /** A second message with this id is not enqueued, within the window that the policy sets (5 minutes). */
  readonly dedup?: string | undefined;
  /** Milliseconds, or `'5m'`, until it can be delivered. */
  readonly delay?: Duration | undefined;
  /** Milliseconds, or `'1d'`, after which it is dropped unless it is out. */
  readonly ttl?: Duration | undefined;
  /** 0 to 9; higher ones are delivered first. Not together with `group`. */
  readonly priority?: number | undefined;
}

/** A message that was enqueued. */
export interface SendResult {
  /** Its ID; of a duplicate, that of the first. */
  readonly id: string;
  /** A message with the same `dedup` was enqueued before: nothing was. */
  readonly duplicate: boolean;
}

/** A message as it was delivered. */
export interface Delivery<Data = unknown> {
  /** Name of the queue. */
  readonly queue: string;
  /** Its ID. */
  readonly id: string;
  /** What was sent. */
  readonly data: Data;
  /** Its group, if it has one. */
  readonly group?: string;
  /** How often it was delivered, this time included. */
  readonly attempts: number;
  /** When it was enqueued: milliseconds since the epoch, by the server's clock. */
  readonly at: number;
  /** Receipt and fencing token of this delivery. Grows with each. */
  readonly lock: number;
  /** When the delivery ends: milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  /** What the last consumer said when it gave the message back. */
  readonly lastError?: string;
}

/** A message in a reply of the HTTP API. */
export interface WireMessage {
  readonly ID: string;
  readonly Data: unknown;
  readonly Group?: string;
  readonly Attempts: number;
  readonly At: number;
  readonly Lock: number;
  readonly TillMs: number;
  readonly LastError?: string;
}

export function deliveryOf(queue: string, message: WireMessage): Delivery {
  const { ID, Data, Group, Attempts, At, Lock, TillMs, LastError } = message;
  return {
    queue,
    id: ID,
    data: Data,
    ...(Group !== undefined && { group: Group }),
    attempts: Attempts,
    at: At,
    lock: Lock,
    till: TillMs,
    ...(LastError !== undefined && { lastError: LastError }),
  };
}
