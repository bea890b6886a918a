/**
 * The lane that calls take which do not wait in the server. It does two things for them.
 *
 * **Together.** Batches that are asked for in one turn of the event loop travel in one request, an array. While all
 * connections carry something, what comes meanwhile waits and travels together too: the busier, the larger the arrays.
 *
 * **In order.** Requests on different connections can overtake each other. So a call stays here while another one is
 * under way that has to do with one of the same keys, counters or locks, and everything behind it that has to do with
 * its own stays too. Calls on one key are done in the order in which they were made, awaited or not, and also when they
 * had to be sent again.
 *
 *     call ─► pending ─► (end of the turn, or a request came back) ─► array ─► under way ─► answered
 *                └── a name is busy, or every place is taken: stays ──┘
 */
import type { Carrier } from './call-sender.ts';
import { Parcel, type Answer, type Call } from './pending-call.ts';

/** Batches of one array; more than the server's `limits.batch_operations_max` would be refused and halved. */
const arrayLengthMax = 1000;
/** The server shares 64 MiB of reply out among the batches of an array: so each may read one value of 1 MiB. */
const arrayLengthMaxReading = 60;
/** Characters of one array's text. */
const arrayTextMax = 1 << 20;

export interface LaneCall extends Call {
  /** What it has to do with: see `namesIn`. */
  readonly names: readonly string[];
  /** Text of a batch that may travel in an array; undefined: it travels alone. */
  readonly batch?: string;
  /** Its reply has a value that was read. */
  readonly reads?: boolean;
}

interface Waiting {
  readonly parcel: Parcel;
  readonly call: LaneCall;
}

export class Lane {
  readonly #carrier: Carrier;
  readonly #defer: (run: () => void) => void;
  #pending: Waiting[] = [];
  readonly #busy = new Set<string>();
  #underWay = 0;
  #scheduled = false;

  constructor(carrier: Carrier, defer: (run: () => void) => void) {
    this.#carrier = carrier;
    this.#defer = defer;
  }

  run(call: LaneCall): Promise<Answer> {
    const { signal } = call;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      if (signal === undefined) {
        this.#join({ call, parcel: new Parcel(call, this.#carrier.clock.mark(), resolve, reject) });
        return;
      }
      const giveUp = (): void => parcel.reject(signal.reason);
      const free = (): void => signal.removeEventListener('abort', giveUp);
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          free();
          how(value);
        };
      const parcel = new Parcel(call, this.#carrier.clock.mark(), settle(resolve), settle(reject));
      signal.addEventListener('abort', giveUp, { once: true });
      this.#join({ call, parcel });
    });
  }

  #join(waiting: Waiting): void {
    this.#pending.push(waiting);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#defer(() => {
      this.#scheduled = false;
      this.#depart();
    });
  }

  /** Sends whatever can go. */
  #depart(): void {
    const { connections, coalesce } = this.#carrier.settings;
    const stays: Waiting[] = [];
    /** What those that stay have to do with. */
    const blocked = new Set<string>();
    let array = new Loading();
    let i = 0;
    for (; i < this.#pending.length && this.#underWay < connections; i += 1) {
      const waiting = this.#pending[i]!;
      const { call, parcel } = waiting;
      if (parcel.settled) continue;
      const joins = coalesce && call.batch !== undefined;
      if (joins && !array.hasRoomFor(call)) {
        this.#send(array.calls);
        array = new Loading();
      }
      const mustWait = (name: string): boolean =>
        this.#busy.has(name) || blocked.has(name) || (!joins && array.names.has(name));
      if (call.names.some(mustWait)) {
        for (const name of call.names) blocked.add(name);
        stays.push(waiting);
      } else if (joins) array.add(waiting);
      else this.#send([waiting]);
    }
    const rest = this.#pending.slice(i);
    if (array.calls.length > 0) this.#send(array.calls);
    this.#pending = stays.concat(rest);
  }

  #send(departing: readonly Waiting[]): void {
    this.#underWay += 1;
    for (const { call } of departing) for (const name of call.names) this.#busy.add(name);
    void this.#carrier.carry(departing.map(({ parcel }) => parcel)).then(() => {
      this.#underWay -= 1;
      for (const { call } of departing) for (const name of call.names) this.#busy.delete(name);
      if (!this.#scheduled) this.#depart();
    });
  }
}

/** An array that is being put together. */
class Loading {
  readonly calls: Waiting[] = [];
  readonly names = new Set<string>();
  #text = 0;
  #reads = false;

  hasRoomFor({ batch, reads }: LaneCall): boolean {
    const most = this.#reads || reads === true ? arrayLengthMaxReading : arrayLengthMax;
    return this.calls.length === 0 || (this.calls.length < most && this.#text + batch!.length <= arrayTextMax);
  }

  add(waiting: Waiting): void {
    const { names, batch, reads } = waiting.call;
    this.calls.push(waiting);
    for (const name of names) this.names.add(name);
    this.#text += batch!.length;
    this.#reads ||= reads === true;
  }
}
