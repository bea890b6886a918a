/**
 * `POST /db/:acc`: from the parsed JSON of one batch to its command. A list of one, given as the object itself, is
 * written out as a list; then the schema decides on the shape; then each section reads its members. Messages name the
 * field as the client wrote it, after `root` (`[3].` in an array body).
 */
import { Type } from 'typebox';
import type { AccountId } from '../../../protocol/ids.ts';
import { closed } from '../../../protocol/operations/fields.ts';
import {
  idempotencySchema,
  readIdempotency,
  type IdempotencyOptions,
} from '../../../protocol/operations/idempotency.ts';
import { sectionNames, sections, type Batch } from '../../../protocol/operations/operations.ts';
import type { BodyContext } from '../../../protocol/operations/section.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { withIdempotency } from './idempotency.ts';
import { isRecord } from './json.ts';
import { validator } from './validate.ts';

const sectionSchemas: Readonly<Record<string, Type.TSchema>> = Object.assign(
  {},
  ...sectionNames.map((name) => sections[name].schema),
);

/** The body of `POST /db/:acc`, and each item of an array body, after "a list of one" was written out as a list. */
const batchBody = Type.Object(
  { ...sectionSchemas, ...idempotencySchema },
  { ...closed, expected: 'a batch: an object such as {"KVSet":{"Key":"a","Value":1}}' },
);
const validate = validator(batchBody);

/** Members that are lists of operations. */
const operationLists = sectionNames.flatMap((name) => (sections[name].list ? [sections[name].body] : []));
const lists = [...operationLists, 'IdempotencyIDs'];
/** The member by which each section is known to be there. */
const leadingMembers = sectionNames.flatMap((name) => Object.keys(sections[name].schema).slice(0, 1));

export interface BatchContext extends BodyContext {
  readonly account: AccountId;
  /** Of the header `Idempotency-Key`. */
  readonly header?: IdempotencyOptions | undefined;
}

export function batchCommand(json: unknown, context: BatchContext): Batch {
  const { account, limits, root, header } = context;
  writeOutLists(json, lists);
  const body = validate(json, root) as Readonly<Record<string, unknown>>;
  const most = limits.batch_operations_max;
  const count = countOperations(body);
  if (count > most) {
    const allowed = `at most ${most} (limits.batch_operations_max)`;
    return refuse('too_large', `${root}batch: ${count} operations; expected ${allowed}`);
  }
  const batch: { kind: 'batch'; account: AccountId; format: 'batch'; [section: string]: unknown } = {
    kind: 'batch',
    account,
    format: 'batch',
  };
  let empty = true;
  for (const name of sectionNames) {
    const members = sections[name].read(body as never, context);
    if (members === undefined || (Array.isArray(members) && members.length === 0)) continue;
    batch[name] = members;
    empty = false;
  }
  // LockID = UnlockID with nothing else is an extension, which the lock's section has read.
  if (empty) {
    return refuseField(`${root}batch`, `nothing to do; expected at least one of ${leadingMembers.join(', ')}`);
  }
  return withIdempotency(batch, readIdempotency(body, context, header));
}

function countOperations(body: Readonly<Record<string, unknown>>): number {
  let count = 0;
  for (const name of operationLists) {
    const list = body[name];
    if (list !== undefined) count += (list as readonly unknown[]).length;
  }
  return count;
}

/** Replaces, in place, each named member that is not a list (and not null) by a list of it. */
export function writeOutLists(json: unknown, names: readonly string[]): void {
  if (!isRecord(json)) return;
  // A body has few members: faster than to ask for each name.
  for (const name in json) {
    if (!names.includes(name)) continue;
    const value = json[name];
    if (value !== null && !Array.isArray(value)) json[name] = [value];
  }
}
