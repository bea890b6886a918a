/**
 * Work that waits for a thread: one lane for each account, served by deficit round robin, as FQ-CoDel serves flows
 * (RFC 8290). An account that sends much, or what is dear, waits for itself, and the others do not wait for it. The
 * mailbox of a shard is such a queue, and so is what waits for a front end.
 *
 *   no lane ──item──► fresh ──credit used up, or empty──► backlog ──empty──► no lane
 *
 * Fresh lanes go first: an account that sends little is served after the item under way, whatever the others have sent.
 * A lane has credit in microseconds of the thread's time. Each round adds `quantum`, each item takes what it has cost,
 * which is known only afterwards; a lane in debt waits for as many rounds as it owes. An empty fresh lane goes through
 * the backlog once, so that no account stays fresh by sending one item after the other.
 *
 * Items of one account keep their order. Nothing orders those of different accounts.
 */

/** Microseconds that one account may use before the next has its turn. */
const quantum = 500;
/** A lane owes no more than this: no account waits for seconds because one item of its met a slow moment. */
const debtMax = 20_000;

class Lane<Item> {
  readonly account: string;
  items: Item[] = [];
  /** The index of the next item. */
  at = 0;
  credit = quantum;
  /** Its last item had a large answer: it waits while the front ends have too many of these to take. */
  large = false;
  /** Microseconds that its last item took: the next is expected to take as long. */
  cost = 0;
  next: Lane<Item> | undefined;

  constructor(account: string) {
    this.account = account;
  }

  get isEmpty(): boolean {
    return this.at === this.items.length;
  }

  take(): Item {
    const item = this.items[this.at]!;
    this.at += 1;
    if (this.isEmpty) {
      this.items = [];
      this.at = 0;
    }
    return item;
  }
}

/** Lanes in the order in which they have their turn. */
class Lanes<Item> {
  first: Lane<Item> | undefined;
  #last: Lane<Item> | undefined;

  push(lane: Lane<Item>): void {
    lane.next = undefined;
    if (this.#last === undefined) this.first = lane;
    else this.#last.next = lane;
    this.#last = lane;
  }

  shift(): void {
    this.first = this.first?.next;
    if (this.first === undefined) this.#last = undefined;
  }
}

export class FairQueue<Item> {
  readonly #lanes = new Map<string, Lane<Item>>();
  readonly #fresh = new Lanes<Item>();
  readonly #backlog = new Lanes<Item>();
  #held: Lane<Item>[] = [];
  /** Lanes whose first item must wait. */
  #waiting: Lane<Item>[] = [];
  /** The lane of the latest push. */
  #recent: Lane<Item> | undefined;
  #served: Lane<Item> | undefined;
  #isDear = false;
  /** In this turn, however little is left of it. */
  #mayBeDear = false;
  #size = 0;

  /** The number of items. */
  get size(): number {
    return this.#size;
  }

  push(account: string, item: Item): void {
    this.#laneOf(account).items.push(item);
    this.#size += 1;
  }

  /** Puts a item in front of all others of the account: it goes on with what an earlier one has begun. */
  pushFirst(account: string, item: Item): void {
    const lane = this.#laneOf(account);
    lane.items.splice(lane.at, 0, item);
    this.#size += 1;
  }

  /**
   * Items are taken in turns. What the last one has left because it is dear may be taken at any time in this one: it waits
   * for one turn only, though others may be served before it in each.
   */
  beginTurn(): void {
    this.#mayBeDear = this.#isDear;
    this.#isDear = false;
  }

  /**
   * Takes the next item. `charge` must follow before the next one is taken.
   *
   * @param congested lanes with large answers are held back until `release`
   * @param holds lanes whose first item it holds are passed over until `releaseWaiting`
   * @param left microseconds that the next item may take
   * @returns undefined: there is none, or all are held back, or the next one `isDear`
   */
  take(congested: boolean, holds?: (item: Item) => boolean, left = Infinity): Item | undefined {
    this.#isDear = false;
    for (;;) {
      const list = this.#fresh.first === undefined ? this.#backlog : this.#fresh;
      const lane = list.first;
      if (lane === undefined) return undefined;
      const isNext = !lane.isEmpty && lane.credit > 0 && !(congested && lane.large);
      if (isNext && holds?.(lane.items[lane.at]!) === true) {
        list.shift();
        this.#waiting.push(lane);
        continue;
      }
      if (isNext && lane.cost > left && !this.#mayBeDear) {
        this.#isDear = true;
        return undefined;
      }
      if (isNext) {
        this.#served = lane;
        this.#size -= 1;
        return lane.take();
      }
      list.shift();
      if (lane.isEmpty && list === this.#backlog) this.#close(lane);
      else if (congested && lane.large) this.#held.push(lane);
      else {
        // Alone it pays nothing back: there is nobody to whom it owes.
        const alone = this.#fresh.first === undefined && this.#backlog.first === undefined;
        lane.credit = alone ? quantum : Math.min(lane.credit + quantum, quantum);
        this.#backlog.push(lane);
      }
    }
  }

  /** The last `take` has left the next item where it is: the one before it of its account took too long. */
  get isDear(): boolean {
    return this.#isDear;
  }

  /** @param micros what the item that was taken last has cost @param large whether it had a large answer */
  charge(micros: number, large: boolean): void {
    const lane = this.#served!;
    lane.credit = Math.max(lane.credit - micros, -debtMax);
    lane.large = large;
    lane.cost = micros;
  }

  /** Lets the lanes that were held back have their turn again. */
  release(): void {
    if (this.#held.length === 0) return;
    for (const lane of this.#held) this.#backlog.push(lane);
    this.#held = [];
  }

  /** The number of lanes that were passed over because their first items must wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets them have their turn again, in the order in which they were passed over. */
  releaseWaiting(): void {
    for (const lane of this.#waiting) this.#backlog.push(lane);
    this.#waiting = [];
  }

  #laneOf(account: string): Lane<Item> {
    if (this.#recent?.account === account) return this.#recent;
    let lane = this.#lanes.get(account);
    if (lane === undefined) {
      lane = new Lane(account);
      this.#lanes.set(account, lane);
      this.#fresh.push(lane);
    }
    this.#recent = lane;
    return lane;
  }

  #close(lane: Lane<Item>): void {
    this.#lanes.delete(lane.account);
    if (this.#recent === lane) this.#recent = undefined;
  }
}
