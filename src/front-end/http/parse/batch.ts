/**
 * `POST /db/:acc`: turns the parsed JSON of one batch into its command. First a list of one that is given as the object
 * itself becomes a list; then the schema is checked; then each section reads its members. Messages name the field as
 * the client wrote it, after `root` (`[3].` in an array body).
 */
import { Type } from 'typebox';
import { withIdempotency } from '../../fingerprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { anyJson, closed } from '../../../protocol/operations/fields.ts';
import {
  idempotencySchema,
  readIdempotency,
  type IdempotencyOptions,
} from '../../../protocol/operations/idempotency.ts';
import { sectionNames, sections, type Batch } from '../../../protocol/operations/operations.ts';
import type { BodyContext } from '../../../protocol/operations/section.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { isRecord, parseJson } from './json.ts';
import { refuseRepeatedMembers, valueMembers } from './repeated-members.ts';
import { validator } from './validate.ts';

const sectionSchemas: Readonly<Record<string, Type.TSchema>> = Object.assign(
  {},
  ...sectionNames.map((name) => sections[name].schema),
);

/** The body of `POST /db/:acc`, or an item of an array body, in which each list of one is a list. */
export const batchBody = Type.Object(
  { ...sectionSchemas, ...idempotencySchema },
  { ...closed, expected: 'a batch: an object such as {"KVSet":{"Key":"a","Value":1}}' },
);
const validate = validator(batchBody);

const values = valueMembers(membersOfAnyJson(batchBody));

/** Parses the body: one batch, or an array of them; `batchCommand` reads each. @throws Refusal 400 */
export function parseBatches(text: string): unknown {
  const json = parseJson(text);
  refuseRepeatedMembers(text, json, values);
  return json;
}

/** Members that are lists of operations. */
const operationLists = sectionNames.flatMap((name) => (sections[name].list ? [sections[name].body] : []));
/** Members that may hold one item instead of a list. */
export const batchLists: readonly string[] = [...operationLists, 'IdempotencyIDs'];
/** The member that shows that a section is present. */
const leadingMembers = sectionNames.flatMap((name) => Object.keys(sections[name].schema).slice(0, 1));

export interface BatchContext extends BodyContext {
  readonly account: AccountId;
  /** From the header `Idempotency-Key`. */
  readonly header?: IdempotencyOptions | undefined;
}

export function batchCommand(json: unknown, context: BatchContext): Batch {
  const { account, limits, root, header } = context;
  writeOutLists(json, batchLists);
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
  // LockID = UnlockID with nothing else is not empty: the lock's section has read it as an extension.
  if (empty) {
    return refuseField(`${root}batch`, `nothing to do; expected at least one of ${leadingMembers.join(', ')}`);
  }
  return withIdempotency(batch, readIdempotency(body, context, header));
}

/** Names the members, at any depth of a schema, that may hold any JSON. */
function membersOfAnyJson(schema: object): Set<string> {
  const names = new Set<string>();
  for (const [name, part] of Object.entries(schema)) {
    if (typeof part !== 'object' || part === null) continue;
    if (isAnyJson(part)) names.add(name);
    for (const inner of membersOfAnyJson(part as object)) names.add(inner);
  }
  return names;
}

/** `Type.Optional` makes a copy, so the words tell. */
function isAnyJson(schema: { readonly expected?: unknown }): boolean {
  return schema.expected === (anyJson as { readonly expected?: unknown }).expected;
}

function countOperations(body: Readonly<Record<string, unknown>>): number {
  let count = 0;
  for (const name of operationLists) {
    const list = body[name];
    if (list !== undefined) count += (list as readonly unknown[]).length;
  }
  return count;
}

/** Wraps, in place, each named member that is neither a list nor null in a list. */
export function writeOutLists(json: unknown, names: readonly string[]): void {
  if (!isRecord(json)) return;
  // A body has few members, so this is faster than a lookup for each name.
  for (const name in json) {
    if (!names.includes(name)) continue;
    const value = json[name];
    if (value !== null && !Array.isArray(value)) json[name] = [value];
  }
}
