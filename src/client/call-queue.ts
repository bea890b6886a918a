/**
 * Queue of the calls that do not wait in the server. It coalesces them and keeps their order.
 *
 * **Coalescing.** Batches that are made in one turn of the event loop travel in one request, as an array. While every
 * connection is busy, new batches wait and travel together too: the busier the client, the larger the arrays.
 *
 * **Order.** Requests on different connections can overtake each other. So a call stays queued while a call on one of
 * the same keys, counters or locks is in flight. Later calls that share a name with a queued call stay queued too.
 * Calls on one key therefore run in the order in which they were made, awaited or not, even when they are sent again or
 * given up.
 *
 *     call ─► queued ─► (end of the turn, or a request came back) ─► array ─► in flight ─► answered
 *               └── a name is busy, or every connection is: stays ──┘
 */
import type { CallSender } from './call-sender.ts';
import { PendingCall, type Answer, type Call } from './pending-call.ts';

/** Batches in one array. The server refuses more than `limits.batch_operations_max`, and the sender halves them. */
const arrayLengthMax = 1000;
/** The server divides 64 MiB of reply among the batches of an array, so each can read one value of 1 MiB. */
const arrayLengthMaxReading = 60;
/** Characters in the text of one array. */
const arrayTextMax = 1 << 20;

export interface QueuedCall extends Call {
  /** What it reads or writes, see `namesIn`. */
  readonly names: readonly string[];
  /** Text of a batch that can travel in an array; undefined: it travels alone. */
  readonly batch?: string;
  /** Its reply holds a value. */
  readonly reads?: boolean;
}

interface QueueEntry {
  readonly pending: PendingCall;
  readonly call: QueuedCall;
}

export class CallQueue {
  readonly #sender: CallSender;
  readonly #defer: (run: () => void) => void;
  #queued: QueueEntry[] = [];
  readonly #busy = new Set<string>();
  #inFlight = 0;
  #scheduled = false;

  constructor(sender: CallSender, defer: (run: () => void) => void) {
    this.#sender = sender;
    this.#defer = defer;
  }

  run(call: QueuedCall): Promise<Answer> {
    const { signal } = call;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      if (signal === undefined) {
        this.#enqueue({ call, pending: new PendingCall(call, this.#sender.clock.mark(), resolve, reject) });
        return;
      }
      const giveUp = (): void => pending.reject(signal.reason);
      const free = (): void => signal.removeEventListener('abort', giveUp);
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          free();
          how(value);
        };
      const pending = new PendingCall(
        { ...call, ordered: call.retry !== 'safe' },
        this.#sender.clock.mark(),
        settle(resolve),
        settle(reject),
      );
      signal.addEventListener('abort', giveUp, { once: true });
      this.#enqueue({ call, pending });
    });
  }

  #enqueue(entry: QueueEntry): void {
    this.#queued.push(entry);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  /** Sends every call that need not wait. */
  #dispatch(): void {
    const { connections, coalesce } = this.#sender.settings;
    const staying: QueueEntry[] = [];
    /** Names of the calls that stay. */
    const blocked = new Set<string>();
    let array = new BatchBuilder();
    let i = 0;
    for (; i < this.#queued.length && this.#inFlight < connections; i += 1) {
      const entry = this.#queued[i]!;
      const { call, pending } = entry;
      if (pending.settled) continue;
      const batched = coalesce && call.batch !== undefined;
      if (batched && !array.hasSpaceFor(call)) {
        this.#send(array.calls);
        array = new BatchBuilder();
      }
      const mustWait = (name: string): boolean =>
        this.#busy.has(name) || blocked.has(name) || (!batched && array.names.has(name));
      if (call.names.some(mustWait)) {
        for (const name of call.names) blocked.add(name);
        staying.push(entry);
      } else if (batched) array.add(entry);
      else this.#send([entry]);
    }
    const rest = this.#queued.slice(i);
    if (array.calls.length > 0) this.#send(array.calls);
    this.#queued = staying.concat(rest);
  }

  #send(entries: readonly QueueEntry[]): void {
    this.#inFlight += 1;
    for (const { call } of entries) for (const name of call.names) this.#busy.add(name);
    void this.#sender.send(entries.map(({ pending }) => pending)).then(() => {
      this.#inFlight -= 1;
      for (const { call } of entries) for (const name of call.names) this.#busy.delete(name);
      if (!this.#scheduled) this.#dispatch();
    });
  }
}

/** Collects the batches of one array. */
class BatchBuilder {
  readonly calls: QueueEntry[] = [];
  readonly names = new Set<string>();
  #text = 0;
  #reads = false;

  hasSpaceFor({ batch, reads }: QueuedCall): boolean {
    const most = this.#reads || reads === true ? arrayLengthMaxReading : arrayLengthMax;
    return this.calls.length === 0 || (this.calls.length < most && this.#text + batch!.length <= arrayTextMax);
  }

  add(entry: QueueEntry): void {
    const { names, batch, reads } = entry.call;
    this.calls.push(entry);
    for (const name of names) this.names.add(name);
    this.#text += batch!.length;
    this.#reads ||= reads === true;
  }
}
