/**
 * Judges what clients saw of queues, message by message (see queue-book.ts), without a model: only what can be said for
 * sure whatever became of the operations that were never answered.
 *
 *   I17   what was enqueued comes to its end: `settled` says that the queues were emptied at the end of the history
 *   I18   of a message, and of a group, one delivery is live at a time, judged by the leases that were told
 *   I19   within a group nothing is delivered while something ahead of it is known to be there still
 *   I20   an ack, nack or extension is accepted and refused as its receipt was; nothing comes back behind an ack
 *   I21   of one DedupID there is one message in a window
 *   I22   what is fresh comes by priority and place
 *   I23   counts lie between what must be there and what can be
 */
import { isDeepStrictEqual } from 'node:util';
import { defaultQueuePolicy, type QueuePolicy } from '../../../src/protocol/operations/queue-policy.ts';
import { lockGraceMs } from '../../../src/shared/limits.ts';
import { describe, type History, type Restart, type Violation } from './history.ts';
import { booksOf, type Asked, type Delivery, type Message, type QueueBook, type Settle } from './queue-book.ts';

export interface LedgerReport {
  readonly violations: readonly Violation[];
  readonly counts: Readonly<
    Record<'queues' | 'messages' | 'deliveries' | 'redeliveries' | 'settled' | 'refused' | 'ordered', number>
  >;
}

export interface LedgerOptions {
  /** How far the clocks of clients and server may be apart. */
  readonly clockToleranceMs?: number;
  /** At the end all queues were emptied. */
  readonly settled?: boolean;
}

export function checkQueues(history: History, options: LedgerOptions = {}): LedgerReport {
  const violations: Violation[] = [];
  const fault = (message: string, ...about: Asked[]): void => {
    const operations = about.map(({ operation }) => operation.id);
    const who = about.map(({ operation }) => describe(operation)).join('; ');
    violations.push({ verdict: 'violation', message: `${message}: ${who}.`, operations });
  };
  const counts = { queues: 0, messages: 0, deliveries: 0, redeliveries: 0, settled: 0, refused: 0, ordered: 0 };
  for (const book of booksOf(history, fault)) {
    const judge = new Judge(book, fault, { restarts: history.restarts ?? [], ...options });
    judge.run();
    counts.queues += 1;
    for (const { deliveries, settles } of book.messages.values()) {
      counts.messages += 1;
      counts.deliveries += deliveries.length;
      counts.redeliveries += Math.max(0, deliveries.length - 1);
      counts.settled += settles.filter(({ rev }) => rev !== undefined).length;
      counts.refused += settles.filter(({ refused }) => refused !== undefined).length;
    }
    counts.ordered += judge.ordered;
  }
  return { violations, counts };
}

/** What was delivered under one Lock and one `till`: a message, or those of a group. */
interface Lease {
  readonly lock: number;
  readonly deliveries: Map<string, Delivery>;
  /** What was said of its end at which revision. */
  readonly ends: { readonly rev: number; readonly till: number }[];
  /** When it was granted, by the server's clock; infinity: that is not known. */
  readonly grantedAt: number;
}

class Judge {
  ordered = 0;
  readonly #book: QueueBook;
  readonly #fault: (message: string, ...about: Asked[]) => void;
  readonly #restarts: readonly Restart[];
  readonly #toleranceMs: number;
  readonly #settled: boolean;
  /** By group; of a message without one by its id. In the order of Locks. */
  readonly #leases = new Map<string, Lease[]>();
  readonly #messages: readonly Message[];

  constructor(
    book: QueueBook,
    fault: (message: string, ...about: Asked[]) => void,
    { restarts, clockToleranceMs = 25, settled = false }: LedgerOptions & { restarts: readonly Restart[] },
  ) {
    this.#book = book;
    this.#fault = fault;
    this.#restarts = restarts;
    this.#toleranceMs = clockToleranceMs;
    this.#settled = settled;
    this.#messages = [...book.messages.values()].toSorted(byPlace);
  }

  run(): void {
    for (const message of this.#messages) this.#checkDeliveries(message);
    for (const leases of this.#leases.values()) {
      leases.sort((a, b) => a.lock - b.lock);
      this.#checkLeases(leases);
    }
    for (const message of this.#messages) for (const settle of message.settles) this.#checkSettle(message, settle);
    this.#checkGroups();
    this.#checkLine();
    this.#checkDedup();
    this.#checkStats();
    if (this.#settled) this.#checkLost();
  }

  #checkDeliveries(message: Message): void {
    const { name, id, deliveries, enqueued } = message;
    deliveries.sort((a, b) => a.lock - b.lock || a.rev! - b.rev!);
    const data = enqueued === undefined ? undefined : (JSON.parse(enqueued.what.data) as unknown);
    for (const [i, delivery] of deliveries.entries()) {
      const { lock, rev } = delivery;
      if (lock <= id.rev) this.#fault(`${name} was delivered before it was enqueued`, delivery);
      const purge = this.#purgeBetween(id.rev, lock);
      if (purge !== undefined) this.#fault(`I17: ${name} was delivered behind a purge`, purge, delivery);
      if (enqueued !== undefined && !isDeepStrictEqual(data, delivery.data))
        this.#fault(`I17: ${name} was delivered with other data`, enqueued, delivery);
      if (enqueued === undefined && !this.#mayBeThere(message, delivery.data))
        this.#fault(`${name} was delivered, and nobody can have enqueued it`, delivery);
      const before = deliveries[i - 1];
      if (before?.lock === lock) {
        const isSame = before.attempt !== undefined && before.attempt === delivery.attempt;
        if (!isSame) this.#fault(`I18: ${name} was delivered twice under one receipt`, before, delivery);
        this.#leaseOf(message, lock)!.ends.push({ rev: rev!, till: delivery.till });
        continue;
      }
      if (lock !== rev && delivery.attempt === undefined)
        this.#fault(`${name} was delivered under a Lock that is not its commit`, delivery);
      this.#checkAttempts(message, before, delivery);
      const key = id.group === undefined ? `m${name}` : `g${id.group}`;
      let leases = this.#leases.get(key);
      if (leases === undefined) this.#leases.set(key, (leases = []));
      let lease = leases.find((other) => other.lock === lock);
      if (lease === undefined) {
        const grantedAt = lock === rev ? delivery.till - delivery.durMs : Infinity;
        leases.push((lease = { lock, deliveries: new Map(), ends: [], grantedAt }));
      }
      lease.ends.push({ rev: rev!, till: delivery.till });
      lease.deliveries.set(name, delivery);
    }
  }

  /** Each delivery that somebody was told of is an attempt, unless it was given back. */
  #checkAttempts({ name, settles }: Message, before: Delivery | undefined, delivery: Delivery): void {
    const { attempts, lock } = delivery;
    const least = before === undefined ? 0 : before.attempts;
    const unseen = this.#book.unknownDequeues.filter((dequeue) => dequeue.lo < lock).length;
    if (attempts < 1 || attempts > least + 1 + unseen)
      this.#fault(`${name} has ${attempts} attempts, expected at most ${least + 1 + unseen}`, delivery);
    if (before === undefined || attempts > before.attempts) return;
    const isGivenBack = settles.some(({ how, refused }) => how === 'return' && refused === undefined);
    if (!isGivenBack && delivery.operation.call.kind === 'batch' && !this.#wereGivenBack(name, before, lock))
      this.#fault(`${name} has ${attempts} attempts behind ${before.attempts}`, before, delivery);
  }

  /** Behind one of its group that was nacked, or by a redrive of what was blocked. */
  #wereGivenBack(name: string, { lock }: Delivery, until: number): boolean {
    const { messages, changes } = this.#book;
    const { group } = messages.get(name)!.id;
    if (changes.some(({ change, rev }) => change.change === 'redrive' && (rev ?? 0) < until)) return true;
    return (
      group !== undefined &&
      this.#messages.some(({ id, settles }) => id.group === group && settles.some((each) => isNack(each, lock)))
    );
  }

  /** A later lease begins behind the end of an earlier one. */
  #checkLeases(leases: readonly Lease[]): void {
    for (const [i, later] of leases.entries()) {
      for (const lease of leases.slice(Math.max(0, i - 3), i)) {
        for (const [name, delivery] of lease.deliveries) {
          const message = this.#book.messages.get(name)!;
          if (this.#mayHaveEnded(message, lease, later.lock, later.grantedAt)) continue;
          const [second] = later.deliveries.values();
          this.#fault(`I18: ${name} was out until ${delivery.till} under ${lease.lock}`, delivery, second!);
        }
      }
    }
  }

  /** Whether a delivery can have come to its end before the revision, at this time of the server. */
  #mayHaveEnded(message: Message, lease: Lease, before: number, at: number): boolean {
    const { id } = message;
    // In one batch, what it settles comes before what it takes.
    const isBefore = ({ rev, lo, refused }: Settle): boolean => refused === undefined && (rev ?? lo) <= before;
    if (message.settles.some((each) => each.how !== 'extend' && each.lock === lease.lock && isBefore(each)))
      return true;
    if (this.#wasEmptied(lease.lock, before)) return true;
    const mates = id.group === undefined ? [message] : this.#matesIn(lease);
    // The nack of one gives those behind it back.
    if (mates.some((mate) => mate.settles.some((each) => isNack(each, lease.lock) && isBefore(each)))) return true;
    const { tills, isKnown } = this.#tillsOf(lease, before);
    return !isKnown || tills.at(-1)! <= at;
  }

  #matesIn(lease: Lease): Message[] {
    return [...lease.deliveries.keys()].map((name) => this.#book.messages.get(name)!);
  }

  /** What was said of its end, in order. Not known: somebody may have changed it who was not answered. */
  #tillsOf(lease: Lease, before: number): { readonly tills: readonly number[]; readonly isKnown: boolean } {
    const extensions = this.#matesIn(lease)
      .flatMap(({ settles }) => settles)
      .filter(({ how, lock, refused }) => how === 'extend' && lock === lease.lock && refused === undefined);
    const isKnown = extensions.every(({ rev, till }) => rev !== undefined && till !== undefined);
    const ends = [...lease.ends, ...extensions.map(({ rev = 0, till = 0 }) => ({ rev, till }))];
    const told = ends.filter(({ rev }) => rev < before).toSorted((a, b) => a.rev - b.rev);
    return { tills: told.map(({ till }) => till), isKnown: isKnown && told.length > 0 };
  }

  /** A purge or a deletion that was answered. */
  #purgeBetween(after: number, before: number): QueueBook['changes'][number] | undefined {
    return this.#book.changes.find(({ change, rev }) => {
      const isThis = change.change === 'purge' || change.change === 'delete';
      return isThis && rev !== undefined && after < rev && rev < before;
    });
  }

  /** By a purge or a deletion. */
  #wasEmptied(after: number, before: number): boolean {
    return this.#book.changes.some(({ change, rev, lo }) => {
      const isThis = change.change === 'purge' || change.change === 'delete';
      return isThis && (rev === undefined ? lo + 1 < before : rev < before && rev > after);
    });
  }

  #checkSettle(message: Message, settle: Settle): void {
    const { lock, rev, how, refused } = settle;
    if (refused !== undefined) return this.#checkRefusal(message, settle);
    if (rev === undefined || lock === undefined) return;
    const { name, id, deliveries } = message;
    const verb = `I20: the ${how} of ${name} under ${lock} at revision ${rev}`;
    const between = deliveries.find((other) => other.lock > lock && other.lock < rev);
    if (between !== undefined) this.#fault(`${verb} comes behind its next delivery`, settle, between);
    for (const other of message.settles) {
      if (other === settle || other.rev === undefined || other.refused !== undefined || other.how === 'extend')
        continue;
      const isFirst = other.rev < rev && other.lock === lock;
      if (isFirst) this.#fault(`${verb} comes behind another under the same receipt`, other, settle);
    }
    if (how === 'ack') {
      const later = deliveries.find((other) => other.lock > rev);
      if (later !== undefined) this.#fault(`I20: ${name} was delivered behind its ack`, settle, later);
    }
    if (how === 'ack' && id.group === undefined) return;
    const lease = this.#leaseOf(message, lock);
    if (lease === undefined) return;
    const { tills, isKnown } = this.#tillsOf(lease, rev);
    const grace = this.#restarts.filter(({ upAt }) => upAt <= settle.to).map(({ upAt }) => upAt + lockGraceMs);
    const end = Math.max(tills.at(-1)!, ...grace);
    if (isKnown && end < settle.from - this.#toleranceMs)
      this.#fault(`${verb} was accepted, though its lease ended at ${end}`, settle);
  }

  /** A receipt that was live all the time must not be refused. */
  #checkRefusal(message: Message, settle: Settle): void {
    const { lock, how, refused, to } = settle;
    const lease = lock === undefined ? undefined : this.#leaseOf(message, lock);
    // A receipt that was made up may come true later.
    const delivery = lease?.deliveries.get(message.name);
    if (lease === undefined || delivery === undefined || delivery.to > settle.from || delivery.lock > settle.lo) return;
    const couldHave = (other: Settle): boolean =>
      other !== settle && other.refused === undefined && other.how !== 'extend' && other.from <= to;
    const mates = this.#matesIn(lease);
    const own = message.settles.some((other) => couldHave(other) && (other.lock === lock || other.lock === undefined));
    const others = mates.some(({ settles }) => settles.some((other) => couldHave(other) && isNack(other, lock!)));
    if (own || others || this.#wasEmptied(lock!, Infinity)) return;
    // In one batch with it, as the batch had them.
    if (this.#isRepeated(message, settle)) return;
    const { tills, isKnown } = this.#tillsOf(lease, Infinity);
    if (!isKnown || Math.min(...tills) <= to + this.#toleranceMs) return;
    this.#fault(`I20: the ${how} of ${message.name} under ${lock} was refused as ${refused}, and it was live`, settle);
  }

  #isRepeated({ name, id }: Message, { operation: { call } }: Settle): boolean {
    if (call.kind !== 'batch') return false;
    const all = [...(call.ack ?? []), ...(call.nack ?? []), ...(call.extend ?? [])];
    const touching = all.filter(
      (each) => each.id === name || (id.group !== undefined && each.id.endsWith(`:${id.group}`)),
    );
    return touching.length > 1;
  }

  #leaseOf({ name, id }: Message, lock: number): Lease | undefined {
    return this.#leases.get(id.group === undefined ? `m${name}` : `g${id.group}`)?.find((each) => each.lock === lock);
  }

  #checkGroups(): void {
    for (const [key, leases] of this.#leases) {
      if (!key.startsWith('g')) continue;
      const members = this.#messages.filter(({ id }) => id.group === key.slice(1));
      for (const lease of leases) {
        const first = members.findIndex(({ name }) => lease.deliveries.has(name));
        let last = first;
        members.forEach(({ name }, i) => {
          if (lease.deliveries.has(name)) last = i;
        });
        for (const ahead of members.slice(0, last)) {
          this.ordered += 1;
          if (lease.deliveries.has(ahead.name) || ahead.id.rev >= lease.lock) continue;
          const witness = witnessAfter(ahead, lease.lock);
          const [delivery] = lease.deliveries.values();
          if (witness !== undefined)
            this.#fault(`I19: ${ahead.name} was passed over by revision ${lease.lock}`, delivery!, witness);
        }
        this.#checkOrderIn(lease);
      }
    }
  }

  /** Messages of a group come in order within a reply. */
  #checkOrderIn(lease: Lease): void {
    const placed = [...lease.deliveries].map(([name, delivery]) => {
      return { message: this.#book.messages.get(name)!, delivery };
    });
    placed.sort((a, b) => byPlace(a.message, b.message));
    placed.forEach(({ delivery }, i) => {
      const next = placed[i + 1];
      if (next !== undefined && next.delivery.operation === delivery.operation && next.delivery.place < delivery.place)
        this.#fault(`I19: ${next.message.name} came in front of one before it`, delivery);
    });
  }

  /** What was never out comes by priority and place, if nobody can have had it meanwhile. */
  #checkLine(): void {
    const fresh = this.#messages.flatMap(({ id, enqueued, deliveries: [first] }) => {
      const isPlain = id.group === undefined && enqueued !== undefined && enqueued.what.delayMs === 0;
      return isPlain && first?.attempts === 1 && first.lock === first.rev ? [{ id, first }] : [];
    });
    for (const [i, ahead] of fresh.entries()) {
      for (const other of [...fresh.slice(i + 1), ...fresh.slice(0, i)]) {
        const isBehind =
          other.id.priority < ahead.id.priority ||
          (other.id.priority === ahead.id.priority && isAhead(ahead.id, other.id));
        const passed = other.first.lock;
        if (!isBehind || passed <= ahead.id.rev) continue;
        this.ordered += 1;
        if (passed > ahead.first.lock) continue;
        if (passed === ahead.first.lock) {
          if (other.first.place < ahead.first.place && other.first.operation === ahead.first.operation)
            this.#fault('I22: a reply has them in another order than the line', ahead.first);
          continue;
        }
        const wasMaybeOut = this.#book.unknownDequeues.some(({ lo, operation: { sentAt } }) => {
          return lo < ahead.first.lock && sentAt <= ahead.first.to;
        });
        if (!wasMaybeOut) this.#fault('I22: a message was delivered ahead of one before it', other.first, ahead.first);
      }
    }
  }

  /** While nobody has said anything of the policy. */
  #checkDedup(): void {
    const { changes, duplicates, messages } = this.#book;
    if (changes.some(({ change }) => change.change === 'policy' || change.change === 'delete')) return;
    const windowMs = defaultQueuePolicy.DedupWindow * 1000;
    const byId = new Map<string, Message[]>();
    for (const message of this.#messages) {
      const dedup = message.enqueued?.what.dedup;
      if (dedup !== undefined) byId.set(dedup, [...(byId.get(dedup) ?? []), message]);
    }
    for (const [dedup, all] of byId) {
      all.forEach(({ enqueued }, i) => {
        const next = all[i + 1]?.enqueued;
        if (next !== undefined && next.to - enqueued!.from + this.#toleranceMs < windowMs)
          this.#fault(`I21: two messages of the DedupID ${dedup}`, enqueued!, next);
      });
    }
    for (const duplicate of duplicates) {
      const first = messages.get(duplicate.id)?.enqueued;
      if (first === undefined || first.what.dedup === duplicate.what.dedup) continue;
      this.#fault(`I21: ${duplicate.id} has another DedupID`, first, duplicate);
    }
  }

  #checkStats(): void {
    for (const stat of this.#book.stats) {
      const { Ready, InFlight, Delayed, Dead, Blocked } = stat.body as Record<string, number>;
      const total = Ready! + InFlight! + Delayed! + Dead! + Blocked!;
      const least = this.#messages.filter((message) => isThereAt(message, stat.rev!)).length;
      const enqueued = this.#messages.filter((each) => (each.enqueued?.rev ?? Infinity) <= stat.rev!).length;
      const maybe = this.#book.unknownEnqueues.filter(({ lo }) => lo < stat.rev!).length;
      const acked = this.#messages.filter(({ settles }) => settles.some((each) => isAckBefore(each, stat.rev!))).length;
      if (total >= least && total <= enqueued + maybe - acked) continue;
      this.#fault(`I23: ${total} messages, expected ${least} to ${enqueued + maybe - acked}`, stat);
    }
  }

  #checkLost(): void {
    const { changes } = this.#book;
    const policies = changes.flatMap(({ change }) => (change.change === 'policy' ? [change.policy] : []));
    // Whatever ends messages by itself leaves nothing to be said of them.
    if (changes.some(({ change }) => change.change === 'purge' || change.change === 'delete')) return;
    if (policies.some(dropsMessages)) return;
    const redriven = changes.some(({ change, moved }) => change.change === 'redrive' && moved > 0);
    for (const { name, enqueued, settles, dead, deliveries } of this.#messages) {
      if (enqueued === undefined || enqueued.what.ttlMs > 0) continue;
      const isAcked = settles.some(({ how, refused }) => how === 'ack' && refused === undefined);
      // A dead one becomes a new one.
      const mayHaveDied = dead !== undefined || (redriven && deliveries.length + this.#book.unknownDequeues.length > 0);
      if (!isAcked && !mayHaveDied) this.#fault(`I17: ${name} was enqueued, and never came to its end`, enqueued);
    }
  }

  /** Somebody may have enqueued it who was not answered; a dead message becomes a new one. */
  #mayBeThere({ id }: Message, data: unknown): boolean {
    const { unknownEnqueues, changes } = this.#book;
    if (changes.some(({ change, moved }) => change.change === 'redrive' && moved > 0)) return true;
    return unknownEnqueues.some(({ what, lo }) => {
      return lo < id.rev && isDeepStrictEqual(JSON.parse(what.data), data);
    });
  }
}

function isAhead(a: Message['id'], b: Message['id']): boolean {
  return a.rev < b.rev || (a.rev === b.rev && a.index < b.index);
}

function byPlace({ id: a }: Message, { id: b }: Message): number {
  return a.rev - b.rev || a.index - b.index;
}

function isNack({ how, lock, refused }: Settle, under: number): boolean {
  return (how === 'nack' || how === 'return') && lock === under && refused === undefined;
}

function isAckBefore({ how, rev, refused }: Settle, at: number): boolean {
  return how === 'ack' && refused === undefined && rev !== undefined && rev <= at;
}

/** What shows that it was there behind this revision: the dead do not come back under their id. */
function witnessAfter({ deliveries, settles }: Message, rev: number): Asked | undefined {
  const delivery = deliveries.find(({ lock }) => lock > rev);
  return (
    delivery ?? settles.find((each) => each.refused === undefined && each.lock !== undefined && (each.rev ?? 0) > rev)
  );
}

function isThereAt(message: Message, rev: number): boolean {
  return message.id.rev <= rev && message.enqueued !== undefined && witnessAfter(message, rev) !== undefined;
}

function dropsMessages({ OnFail, Retention, DeadRetention }: QueuePolicy): boolean {
  return OnFail === 'drop' || Retention > 0 || DeadRetention !== defaultQueuePolicy.DeadRetention;
}
