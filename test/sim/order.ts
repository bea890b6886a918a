/**
 * What came first: for each lock those who stand in line, as they arrived at its shard, and for each front end the
 * requests that share a key, as they were sent. Whoever came first is served first.
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
  readonly handle: number;
}

export class Lines {
  /** Grants that came after another of the same lock. */
  compared = 0;
  /** Owner → place of its arrival. */
  readonly #arrived = new Map<string, number>();
  readonly #granted = new Map<string, Granted[]>();
  /** Owners that asked more than once: nothing is said about them. */
  readonly #repeated = new Set<string>();
  readonly #askedOnce = new Set<string>();
  readonly #vanished = new Set<string>();
  /** Leases that their holders know of, and those that somebody asked to end: over restarts too. */
  readonly #known = new Set<string>();
  readonly #givenBack = new Set<string>();

  asked({ command }: Request): void {
    if (command.kind === 'batch' && command.unlock !== undefined) {
      const { id, handle } = command.unlock;
      if (handle !== undefined) this.#givenBack.add(`${command.account} ${id} ${handle}`);
    }
    const owner = lockOf(command)?.owner;
    if (owner === undefined) return;
    if (this.#askedOnce.has(owner)) this.#repeated.add(owner);
    this.#askedOnce.add(owner);
  }

  /** Messages arrive at a shard. */
  arrived(messages: readonly ToShard[]): void {
    for (const message of messages) {
      for (const ask of asksOf(message)) {
        if (ask?.owner !== undefined && !this.#arrived.has(ask.owner)) this.#arrived.set(ask.owner, this.#arrived.size);
      }
    }
  }

  granted({ command, number }: Request, body: ReplyBody): void {
    const ask = lockOf(command);
    if (command.kind === 'batch' && ask !== undefined) this.#known.add(`${command.account} ${ask.id} ${body.Lock}`);
    const arrived = this.#arrived.get(ask?.owner ?? '');
    if (ask?.owner === undefined || ask.extend !== undefined || arrived === undefined || this.#repeated.has(ask.owner))
      return;
    const name = `${command.kind} ${command.account} ${ask.id}`;
    let others = this.#granted.get(name);
    if (others === undefined) this.#granted.set(name, (others = []));
    if (others.length > 0) this.compared += 1;
    for (const other of others) {
      if (other.arrived < arrived === other.handle < body.Lock) continue;
      throw new Violation(
        `requests ${number} and ${other.number} got the lock ${ask.id} in another order than they came`,
      );
    }
    others.push({ number, arrived, handle: body.Lock });
  }

  mayRelease(account: string, id: string, handle: number): boolean {
    const lease = `${account} ${id} ${handle}`;
    return !this.#known.has(lease) || this.#givenBack.has(lease);
  }

  vanished({ command }: Request): void {
    const ask = lockOf(command);
    const once = command.kind === 'batch' && command.idempotency !== undefined;
    if (ask?.owner !== undefined && !once) this.#vanished.add(ask.owner);
  }

  /** A lease that nobody knows of: its only request has vanished, before it was answered. */
  heldByNobody(owner: string | undefined): boolean {
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
  /** What reads and refusals say may be of a later moment than that of the key that is shared. */
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

  /** Nobody's order depends on how long a wait for a lock takes. */
  answered(router: number, { command, number }: Request, rev: number, commits: boolean): void {
    if (command.kind !== 'batch' || (command.lock?.waitMs ?? 0) > 0) return;
    const { sent, answered } = this.#routers[router]!;
    const keys = new Set(batchKeys(command));
    for (const other of answered.slice(-40)) {
      if (other.account !== command.account || keys.isDisjointFrom(other.keys) || !(commits || other.commits)) continue;
      if (other.rev === rev) continue;
      const sentBefore = (sent.get(other.number) ?? 0) < (sent.get(number) ?? 0);
      if (sentBefore === other.rev < rev) continue;
      throw new Violation(
        `requests ${number} (${rev}) and ${other.number} (${other.rev}) share a key, and happened in another order than they were sent`,
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

function asksOf(message: ToShard): (LockOperation | undefined)[] {
  switch (message.kind) {
    case 'transaction.reserve':
      return [message.lock];
    case 'request':
      return [lockOf(message.command)];
    case 'array':
      return message.batches.map(lockOf);
    default:
      return [];
  }
}

function lockOf(command: Command): LockOperation | undefined {
  return command.kind === 'batch' || command.kind === 'mutex.lock' ? command.lock : undefined;
}
