/**
 * The declaration of one kind of operation: a *section* of a batch. `operations.ts` has the table of all sections.
 *
 * A section determines its part of the body of `POST /db/:acc` and of the type `Batch`, the keys that a batch touches,
 * the shards that it needs, what it may do when space is short, the scopes that its token needs, and the order of its
 * failures. Its behaviour is in `shard-worker/core/operations/`, in the file of the same name.
 */
import type { Type } from 'typebox';
import type { Limits } from '../../shared/limits.ts';

/** What an operation does to the space of the store: `free` gives some back, and may use the reserve. */
export type SpaceEffect = 'read' | 'write' | 'free';

/** The token scope that an operation needs. A `condition` alone needs `read`, and none beside another operation. */
export type NeededScope = 'read' | 'write' | 'force' | 'admin' | 'task' | 'script' | 'condition';

/** The place of a batch in a body, for messages, and the limits that it must keep. */
export interface BodyContext {
  /** The path of the batch within an array body: `[3].`; empty for a single one. */
  readonly root: string;
  readonly limits: Limits;
  /** Of the server, see `readClock`. */
  readonly clock: SharedArrayBuffer;
  /** How many more tasks of this body may have cron patterns, all of its batches together. */
  readonly cronTasks: { left: number };
}

interface SectionOf<Operation, Members> {
  /** Its member in the body of `POST /db/:acc`; failures are named after it: `KVSet[1]`. */
  readonly body: string;
  /** The schemas of its members in that body; empty: the section has no place there. */
  readonly schema: Readonly<Record<string, Type.TSchema>>;
  readonly key: (operation: Operation) => string;
  /** Its keys are all below this prefix, on all shards; `key` is not asked for. Such an operation stands alone. */
  readonly prefix?: (operation: Operation) => string;
  readonly effect: (operation: Operation) => SpaceEffect;
  /** The scope that its token needs, or all of these. */
  readonly scope: (operation: Operation) => NeededScope | readonly NeededScope[];
  /** Reads the section from a body that fits the schema. @throws Refusal */
  readonly read: (body: never, context: BodyContext) => Members | undefined;
}

/** A batch has a list of these operations. `Result` is the result of one of them; `never`: it has none. */
export interface ListSection<Operation, Result> extends SectionOf<Operation, readonly Operation[]> {
  readonly list: true;
  readonly result?: Result;
}

/** A batch has at most one of these operations. */
export interface SingleSection<Operation, Result> extends SectionOf<Operation, Operation> {
  readonly list: false;
  readonly result?: Result;
}

export function listSection<Operation, Result>(
  spec: SectionOf<Operation, readonly Operation[]>,
): ListSection<Operation, Result> {
  return { list: true, ...spec };
}

export function singleSection<Operation, Result>(
  spec: SectionOf<Operation, Operation>,
): SingleSection<Operation, Result> {
  return { list: false, ...spec };
}
