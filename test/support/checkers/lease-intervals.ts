/**
 * At most one holder, seen from outside and without trusting a revision: from the moment in which a client was told
 * that it has the lock until the time that it was told, or until somebody asked for the lock to be given back, it has
 * it for certain. Two such times of one lock under two handles must not overlap. This holds for locks and mutexes, and
 * it is all that can be said of the order of mutexes, which have no revisions.
 *
 * Not checked: that waiters are served in the order in which they came, since nobody outside sees the line.
 */
import type { LockAsk, UnlockAsk } from '../../../src/protocol/commands.ts';
import { describe, type History, type Operation, type Violation } from './history.ts';

interface Held {
  readonly operation: Operation;
  readonly handle: number;
  readonly owner: string | undefined;
  readonly from: number;
  readonly to: number;
}

interface Line {
  readonly held: Held[];
  /** When somebody asked for a lease to end: by handle, by owner, or (under '') by force. */
  readonly ends: Map<number | string, number[]>;
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
    const ask: LockAsk | undefined = call.kind === 'mutex.unlock' ? undefined : call.lock;
    const given: UnlockAsk | undefined = call.kind === 'mutex.lock' ? undefined : call.unlock;
    // What was refused changed nothing; anything else may have ended a lease.
    if (given && (answer === undefined || answer.status < 300))
      note(lineOf(call, given.id), given.handle, given.owner, sentAt);
    // A shorter extension ends the longer lease before it.
    if (ask?.extend ?? ask?.owner) note(lineOf(call, ask.id), ask.extend, ask.owner, sentAt);
    if (ask === undefined || answer?.status !== 200 || answer.replayed || answer.body.Lock === undefined) continue;
    const down = call.kind === 'batch' ? undefined : restarts.find(({ downAt }) => downAt >= sentAt);
    lineOf(call, ask.id).held.push({
      operation,
      handle: answer.body.Lock,
      owner: ask.owner,
      from: answer.at,
      to: Math.min((answer.body.TillMs ?? 0) - clockToleranceMs, down?.downAt ?? Infinity),
    });
  }
  return [...lines.values()].flatMap((line) => [...overlaps(line)]);
}

function note({ ends }: Line, handle: number | undefined, owner: string | undefined, at: number): void {
  // An owner is told apart from a force by its first letter.
  const by = handle ?? (owner === undefined ? '' : `o${owner}`);
  const times = ends.get(by);
  if (times === undefined) ends.set(by, [at]);
  else times.push(at);
}

function* overlaps({ held: told, ends }: Line): Generator<Violation> {
  for (const times of ends.values()) times.sort((a, b) => a - b);
  const held = told.map((lease) => {
    const { handle, owner, operation } = lease;
    const asked = [handle, `o${owner}`, ''].map((by) => firstAfter(ends.get(by), operation.sentAt));
    return { ...lease, to: Math.min(lease.to, ...asked) };
  });
  held.sort((a, b) => a.from - b.from);
  let longest: Held | undefined;
  let highest: Held | undefined;
  for (const lease of held) {
    if (longest !== undefined && longest.handle !== lease.handle && lease.from < Math.min(longest.to, lease.to)) {
      yield violation(lease, longest, `while it was held with handle ${longest.handle} until at least ${longest.to}`);
    } else if (highest !== undefined && lease.handle < highest.handle && highest.from < lease.operation.sentAt) {
      yield violation(lease, highest, `after handle ${highest.handle} had been given out: fencing tokens only grow`);
    }
    if (longest === undefined || lease.to > longest.to) longest = lease;
    if (highest === undefined || lease.handle > highest.handle) highest = lease;
  }
}

function violation(lease: Held, other: Held, how: string): Violation {
  return {
    verdict: 'violation',
    message: `${describe(lease.operation)} was given handle ${lease.handle} ${how}, by ${describe(other.operation)}.`,
    operations: [lease.operation.id, other.operation.id],
  };
}

function firstAfter(times: readonly number[] | undefined, moment: number): number {
  if (times === undefined) return Infinity;
  let lo = 0;
  let hi = times.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (times[middle]! <= moment) lo = middle + 1;
    else hi = middle;
  }
  return times[lo] ?? Infinity;
}
