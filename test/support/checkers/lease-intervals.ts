/**
 * At most one holder, seen from outside and without trusting a revision: from the moment in which a client was told
 * that it has the lock until the time that it was told, or until somebody asked for the lock to be given back, it has
 * it for certain. Two such times of one lock under two fences must not overlap. This holds for locks and mutexes, and
 * it is all that can be said of the order of mutexes, which have no revisions.
 *
 * Not checked: that waiters are served in the order in which they came, since nobody outside sees the line.
 */
import { describe, type History, type Operation, type Violation } from './history.ts';
import { endOf } from './real-time.ts';
import type { LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

interface Held {
  readonly operation: Operation;
  readonly fence: number;
  readonly owner: string | undefined;
  readonly extends: boolean;
  readonly from: number;
  readonly to: number;
}

/** It ends a lease no earlier than `from`, and takes effect no later than `over`. */
interface End {
  readonly from: number;
  readonly over: number;
}

interface Line {
  readonly held: Held[];
  /** When somebody asked for a lease to end: by fence, by owner, or (under '') by force. */
  readonly ends: Map<number | string, End[]>;
}

export function doubleHolders({ operations, restarts = [] }: History, clockToleranceMs: number): Violation[] {
  const lines = new Map<string, Line>();
  const lineOf = (call: Operation['call'], id: string): Line => {
    const name = `${call.kind === 'batch' ? 'l' : 'm'}${call.account}\0${id}`;
    let line = lines.get(name);
    if (line === undefined) lines.set(name, (line = { held: [], ends: new Map() }));
    return line;
  };
  for (const operation of operations) {
    const { call, answer, sentAt } = operation;
    if (call.kind !== 'batch' && call.kind !== 'mutex.lock' && call.kind !== 'mutex.unlock') continue;
    const over = endOf(operation, restarts);
    const ask: LockOperation | undefined = call.kind === 'mutex.unlock' ? undefined : call.lock;
    const given: UnlockOperation | undefined = call.kind === 'mutex.lock' ? undefined : call.unlock;
    // What was refused changed nothing; anything else may have ended a lease.
    if (given && (answer === undefined || answer.status < 300))
      note(lineOf(call, given.id), given.fence, given.owner, { from: sentAt, over });
    // A shorter extension cuts the longer lease before it.
    if (ask?.extend ?? ask?.owner)
      note(lineOf(call, ask.id), ask.extend, ask.owner, { from: sentAt + ask.durMs - clockToleranceMs, over });
    if (ask === undefined || answer?.status !== 200 || answer.replayed || answer.body.Lock === undefined) continue;
    const down = call.kind === 'batch' ? undefined : restarts.find(({ downAt }) => downAt >= sentAt);
    lineOf(call, ask.id).held.push({
      operation,
      fence: answer.body.Lock,
      owner: ask.owner,
      extends: ask.extend !== undefined,
      from: answer.at,
      to: Math.min((answer.body.TillMs ?? 0) - clockToleranceMs, down?.downAt ?? Infinity),
    });
  }
  return [...lines.values()].flatMap((line) => [...overlaps(line)]);
}

function note({ ends }: Line, fence: number | undefined, owner: string | undefined, end: End): void {
  // An owner is told apart from a force by its first letter.
  const by = fence ?? (owner === undefined ? '' : `o${owner}`);
  const others = ends.get(by);
  if (others === undefined) ends.set(by, [end]);
  else others.push(end);
}

function* overlaps({ held: told, ends }: Line): Generator<Violation> {
  const firsts = new Map(Array.from(ends, ([by, asked]) => [by, firstSent(asked)]));
  const grants = new Map(told.flatMap((lease) => (lease.extends ? [] : [[lease.fence, lease]])));
  const held = told.map((lease) => {
    const { fence, operation } = lease;
    // Who extends with a fence says nothing of the owner: that was said when it was granted, if anyone was told.
    const granted = grants.get(fence);
    const owners =
      granted === undefined ? [...firsts.keys()].filter((by) => typeof by === 'string') : [`o${granted.owner}`];
    const asked = [fence, '', ...owners].map((by) => firsts.get(by)?.(operation) ?? Infinity);
    return { ...lease, to: Math.min(lease.to, ...asked) };
  });
  held.sort((a, b) => a.from - b.from);
  let longest: Held | undefined;
  let highest: Held | undefined;
  for (const lease of held) {
    if (longest !== undefined && longest.fence !== lease.fence && lease.from < Math.min(longest.to, lease.to)) {
      yield violation(
        lease,
        longest,
        `while it was held with fencing token ${longest.fence} until at least ${longest.to}`,
      );
    } else if (highest !== undefined && lease.fence < highest.fence && highest.from < lease.operation.sentAt) {
      yield violation(lease, highest, `after fence ${highest.fence} had been given out: fencing tokens only grow`);
    }
    if (longest === undefined || lease.to > longest.to) longest = lease;
    if (highest === undefined || lease.fence > highest.fence) highest = lease;
  }
}

function violation(lease: Held, other: Held, how: string): Violation {
  return {
    verdict: 'violation',
    message: `${describe(lease.operation)} was given fence ${lease.fence} ${how}, by ${describe(other.operation)}.`,
    operations: [lease.operation.id, other.operation.id],
  };
}

/** When the first of these may have ended a lease, of those that may have taken effect after an operation was sent. */
function firstSent(ends: readonly End[]): (operation: Operation) => number {
  const sorted = ends.toSorted((a, b) => a.over - b.over);
  // The earliest of each and all that are over later.
  const earliest = sorted.map(({ from }) => from);
  for (let i = earliest.length - 2; i >= 0; i--) earliest[i] = Math.min(earliest[i]!, earliest[i + 1]!);
  return ({ sentAt }) => {
    let lo = 0;
    let hi = sorted.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (sorted[middle]!.over < sentAt) lo = middle + 1;
      else hi = middle;
    }
    return earliest[lo] ?? Infinity;
  };
}
