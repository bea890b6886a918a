/**
 * The whole contract once more, naively: what a command does to a state, and what the reply says. It is written from
 * the contract alone and shares no code with the server. Nothing here changes the state: an outcome lists the changes.
 *
 *   model tests        predict each reply of a random history                       contract-server.ts
 *   witness checker    explains replies after the fact, at their revisions          ../checkers/step.ts
 *   simulator          asks about each answer when it arrives                       ../../sim/check-reply.ts
 *
 * Time is a span, because a checker does not know when exactly something happened. `Moment.over` says whether an entry
 * has ended whose end lies within the span, and may guess. A prediction has spans of no length.
 *
 * A new noun is one file beside this one and one line in `nouns`, and in `commands` if it has commands of its own.
 */
import { account } from './account.ts';
import { audit } from './audit.ts';
import { counter } from './counter.ts';
import { Span, type Body } from './expected.ts';
import { idempotency } from './idempotency.ts';
import { kv } from './kv.ts';
import { limit } from './limit.ts';
import { lock } from './lock.ts';
import { done, refuse, Turn, type Moment, type Outcome, type Performed } from './moment.ts';
import { mutex } from './mutex.ts';
import { queue } from './queue.ts';
import { script } from './script.ts';
import { sequence } from './sequence.ts';
import { stringOp } from './string-op.ts';
import { task } from './task.ts';
import { usage } from './usage.ts';
import { watch } from './watch.ts';
import type { AccountExport } from '../../../src/protocol/operations/account.ts';
import type { AdminCommand, Batch, Command, OwnCommand } from '../../../src/protocol/operations/operations.ts';

/** What one noun has to say. */
interface Noun {
  /** Answers a batch before anything else of it is looked at. */
  early?(at: Moment, batch: Batch): Outcome | undefined;
  /** Notes the noun's changes and failures in the turn, and says what it adds to the reply. */
  perform?(turn: Turn, batch: Batch): Performed;
  /** What is stored with the reply. */
  stored?(at: Moment, batch: Batch, body: Body): Outcome['changes'];
  /** The commands of its own. */
  readonly commands?: object;
}

/** Failures are listed in this order, and the first gives the refusal its code. */
const nouns: readonly Noun[] = [
  idempotency,
  lock,
  mutex,
  kv,
  script,
  limit,
  counter,
  sequence,
  stringOp,
  queue,
  task,
  account,
  audit,
  watch,
];

const commands = {
  ...kv.commands,
  ...counter.commands,
  ...lock.commands,
  ...mutex.commands,
  ...queue.commands,
  ...script.commands,
  ...watch.commands,
  ...usage.commands,
  ...task.commands,
} satisfies {
  readonly [Kind in Exclude<Command, AccountExport | AdminCommand | OwnCommand | Batch>['kind']]: (
    at: Moment,
    command: Extract<Command, { kind: Kind }>,
  ) => Outcome;
};

export function outcomeOf(at: Moment, command: Command): Outcome {
  if (command.kind === 'batch') return batchOutcome(at, command);
  // What administrators look at is not part of the contract with clients, nor is how an export is cut into pages.
  const perform = (commands as Partial<Record<string, (at: Moment, command: never) => Outcome>>)[command.kind];
  return perform!(at, command as never);
}

/** All of a batch happens, or nothing. */
function batchOutcome(at: Moment, batch: Batch): Outcome {
  for (const noun of nouns) {
    const early = noun.early?.(at, batch);
    if (early !== undefined) return early;
  }
  const turn = new Turn(at, batch.account);
  const members = {};
  let reply: object | undefined;
  for (const noun of nouns) {
    const performed = noun.perform?.(turn, batch);
    if (performed === undefined) continue;
    if ('reply' in performed) reply = performed.reply;
    else Object.assign(members, performed.members);
  }
  const [first] = turn.failed as Body[];
  if (first !== undefined) {
    const { Field: _, Code, ...details } = first;
    return refuse(Code!, { ...details, Failed: turn.failed });
  }
  const body = batch.format === 'batch' ? members : reply;
  if (body === undefined) return refuse('not_found');
  const outcome = done(
    at,
    body,
    Array.from(turn.changes, ([name, entry]) => (entry === undefined ? { name } : { name, entry })),
  );
  const { WaitMs, Limit = [] } = body as Body;
  const waits = [WaitMs, ...Limit.map((item) => item['WaitMs'])].flatMap((wait) =>
    wait instanceof Span ? [wait.hi] : [],
  );
  const held = waits.length === 0 ? {} : { heldMs: Math.max(...waits) };
  const stored = nouns.flatMap((noun) => noun.stored?.(at, batch, outcome.body as Body) ?? []);
  return stored.length === 0
    ? { ...outcome, ...held }
    : { ...outcome, ...held, changes: [...outcome.changes, ...stored] };
}
