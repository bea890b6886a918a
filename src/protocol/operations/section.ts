/**
 * What one kind of operation is, declared once: a *section* of a batch. `operations.ts` has the table of all sections.
 *
 * From a section follow the body of `POST /db/:acc`, the type of a batch, which keys a batch touches, which shards it
 * needs, what it may do when space is short, which scopes its token needs, and the order of its failures. What a section
 * does is in `shard-worker/core/operations/`, in the file of the same name.
 */
import type { Type } from 'typebox';
import type { Limits } from '../../shared/limits.ts';

/** What an operation does to the space that the store takes: `free` gives some back, and is let into the reserve. */
export type SpaceEffect = 'read' | 'write' | 'free';

/** The token scope that an operation needs. A `condition` needs none beside another operation, and `read` alone. */
export type NeededScope = 'read' | 'write' | 'force' | 'condition';

/** Where a member of a body stands, for messages, and the limits that it must keep. */
export interface BodyContext {
  /** Path of the batch within an array body: `[3].`; empty for a single one. */
  readonly root: string;
  readonly limits: Limits;
}

interface SectionOf<Operation, Members> {
  /** Member of the body of `POST /db/:acc`; failures are named after it: `KVSet[1]`. */
  readonly body: string;
  /** Members of that body, as schemas; none: the section has no place there. */
  readonly schema: Readonly<Record<string, Type.TSchema>>;
  readonly key: (operation: Operation) => string;
  readonly effect: (operation: Operation) => SpaceEffect;
  readonly scope: (operation: Operation) => NeededScope;
  /** Takes the section out of a body that fits the schema. @throws Refusal */
  readonly read: (body: never, context: BodyContext) => Members | undefined;
}

/** A batch has a list of these operations. `Result` is what one of them comes to; `never`: it only decides or acts. */
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
