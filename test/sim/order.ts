/**
 * Checks that the first request is served first: for each lock the waiters, in the order in which they arrived at its
 * shard, and for each front end the requests that share a key, in the order in which they were sent.
 */
import type { AccountId } from '../../src/protocol/ids.ts';
import type { ToShard } from '../../src/protocol/wire/shard-messages.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import { Violation } from './trace.ts';
import type { Request } from './workload.ts';
import { batchKeys } from '../../src/protocol/footprint.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import type { LockOperation } from '../../src/protocol/operations/lock.ts';

interface Granted {
  readonly number: number;
  readonly arrived: number;
  /** Handles grow with every grant. */
  readonly fence: number;
}

export class WaitOrder {
  /** Grants that came after another of the same lock. */
  compared = 0;
  /** Owner → place of its arrival. */
  readonly #arrived = new Map<string, number>();
  readonly #granted = new Map<string, Granted[]>();
  /** Owners that sent more than one request: they are not checked. */
  readonly #repeated = new Set<string>();
  readonly #askedOnce = new Set<string>();
  readonly #vanished = new Set<string>();
  /** Leases that their holders know of, and those that a client asked to end: over restarts too. */
  readonly #known = new Set<string>();
  readonly #givenBack = new Set<string>();

  asked({ command }: Request): void {
    if (command.kind === 'batch') {
      const { unlock, unlocks = [] } = command;
      for (const { id, fence } of unlock === undefined ? unlocks : [unlock]) {
        if (fence !== undefined) this.#givenBack.add(`${command.account} ${id} ${fence}`);
      }
    }
    const several = command.kind === 'batch' ? command.locks?.[0]?.owner : undefined;
    const owner = several ?? placeOf(command)?.owner;
    if (owner === undefined) return;
    if (this.#askedOnce.has(owner)) this.#repeated.add(owner);
    this.#askedOnce.add(owner);
  }

  /** Messages arrive at a shard. */
  arrived(messages: readonly ToShard[]): void {
    for (const message of messages) {
      for (const owner of ownersOf(message)) {
        if (owner !== undefined && !this.#arrived.has(owner)) this.#arrived.set(owner, this.#arrived.size);
      }
    }
  }

  granted({ command, number }: Request, body: ReplyBody): void {
    const lock = lockOf(command);
    const taken = command.kind === 'batch' ? (command.locks ?? (lock === undefined ? [] : [lock])) : [];
    for (const { id } of taken) this.#known.add(`${command.account} ${id} ${body.Lock}`);
    const place = placeOf(command);
    const arrived = this.#arrived.get(place?.owner ?? '');
    if (place?.owner === undefined || lock?.extend !== undefined || arrived === undefined) return;
    // Who waited for messages in vain was passed over by nobody.
    if (this.#repeated.has(place.owner) || body.Dequeue?.Messages.length === 0) return;
    const fence = body.Dequeue === undefined ? body.Lock : body.Rev;
    const name = `${place.noun} ${command.account} ${place.id}`;
    let others = this.#granted.get(name);
    if (others === undefined) this.#granted.set(name, (others = []));
    if (others.length > 0) this.compared += 1;
    for (const other of others) {
      if (other.arrived < arrived === other.fence < fence) continue;
      throw new Violation(
        `requests ${number} and ${other.number} were served by the ${place.noun} ${place.id} in another order than they came`,
      );
    }
    others.push({ number, arrived, fence });
  }

  mayRelease(account: string, id: string, fence: number): boolean {
    const lease = `${account} ${id} ${fence}`;
    return !this.#known.has(lease) || this.#givenBack.has(lease);
  }

  vanished({ command }: Request): void {
    const lock = lockOf(command);
    const once = command.kind === 'batch' && command.idempotency !== undefined;
    if (lock?.owner !== undefined && !once) this.#vanished.add(lock.owner);
  }

  /** A lease that no client knows of: its only request was cancelled before it was answered. */
  heldByVanished(owner: string | undefined): boolean {
    return owner !== undefined && this.#vanished.has(owner) && !this.#repeated.has(owner);
  }

  restarted(): void {
    this.#arrived.clear();
    this.#granted.clear();
    this.#vanished.clear();
  }
}

interface Sent {
  readonly number: number;
  readonly account: AccountId;
  readonly keys: ReadonlySet<string>;
  readonly rev: number;
  /** Without a commit, reads and refusals may show a later moment than that of the shared key. */
  readonly commits: boolean;
}

export class SendOrder {
  readonly #routers: { sent: Map<number, number>; answered: Sent[] }[];

  constructor(routers: number) {
    this.#routers = Array.from({ length: routers }, () => ({ sent: new Map(), answered: [] }));
  }

  sent(router: number, number: number): void {
    const { sent } = this.#routers[router]!;
    sent.set(number, sent.size);
  }

  /** Requests that wait for a lock or for messages are not checked: no order depends on how long that takes. */
  answered(router: number, { command, number }: Request, rev: number, commits: boolean): void {
    if (command.kind !== 'batch' || (command.lock ?? command.locks?.[0] ?? command.dequeue)?.waitMs) return;
    const { sent, answered } = this.#routers[router]!;
    const keys = new Set(batchKeys(command));
    for (const other of answered.slice(-40)) {
      if (other.account !== command.account || keys.isDisjointFrom(other.keys) || !(commits || other.commits)) continue;
      if (other.rev === rev) continue;
      const sentBefore = (sent.get(other.number) ?? 0) < (sent.get(number) ?? 0);
      if (sentBefore === other.rev < rev) continue;
      throw new Violation(
        `requests ${number} (${rev}) and ${other.number} (${other.rev}) share a key, ` +
          'and were applied in another order than they were sent',
      );
    }
    answered.push({ number, account: command.account, keys, rev, commits });
  }

  restarted(): void {
    for (const router of this.#routers) {
      router.sent.clear();
      router.answered = [];
    }
  }
}

function ownersOf(message: ToShard): (string | undefined)[] {
  switch (message.kind) {
    case 'transaction.reserve':
      return [message.lock.owner];
    case 'request':
      return [placeOf(message.command)?.owner];
    case 'array':
      return message.batches.map((batch) => placeOf(batch)?.owner);
    default:
      return [];
  }
}

/** Who waits in which line. A consumer is known by its attempt, if nobody else has that. */
function placeOf(
  command: Command,
): { readonly noun: string; readonly id: string; readonly owner?: string } | undefined {
  const lock = lockOf(command);
  if (lock !== undefined) {
    const noun = command.kind === 'batch' ? 'lock' : 'mutex';
    return { noun, id: lock.id, ...(lock.owner === undefined ? {} : { owner: lock.owner }) };
  }
  const dequeue = command.kind === 'batch' ? command.dequeue : undefined;
  if (dequeue === undefined || dequeue.waitMs === 0 || dequeue.attempt?.startsWith('w') !== true) return undefined;
  return { noun: 'queue', id: dequeue.key, owner: dequeue.attempt };
}

function lockOf(command: Command): LockOperation | undefined {
  return command.kind === 'batch' || command.kind === 'mutex.lock' ? command.lock : undefined;
}
