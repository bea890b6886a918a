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

/** Members that may hold one item instead of a list. */
export const batchLists: ReadonlySet<string> = new Set([
  ...sectionNames.flatMap((name) => (sections[name].list ? [sections[name].body] : [])),
  'IdempotencyIDs',
]);
/** The member that shows that a section is present. */
const leadingMembers = sectionNames.flatMap((name) => Object.keys(sections[name].schema).slice(0, 1));

interface Member {
  /** Of its section, in the order of the table. */
  readonly bit: number;
  /** It is a list of operations. */
  readonly isList: boolean;
}

const members: ReadonlyMap<string, Member> = new Map(
  sectionNames.flatMap((name, i) => {
    const { schema, list, body } = sections[name];
    return Object.keys(schema).map((member) => [member, { bit: 1 << i, isList: list && member === body }] as const);
  }),
);

export interface BatchContext extends BodyContext {
  readonly account: AccountId;
  /** From the header `Idempotency-Key`. */
  readonly header?: IdempotencyOptions | undefined;
  /** As in `Batch`. */
  readonly replyBytesMax?: number;
}

export function batchCommand(json: unknown, context: BatchContext): Batch {
  const { account, root, header, replyBytesMax } = context;
  writeOutLists(json, batchLists);
  const body = validate(json, root) as Readonly<Record<string, unknown>>;
  const present = sectionsOfBody(body, context);
  const batch: MadeBatch =
    replyBytesMax === undefined
      ? { kind: 'batch', account, format: 'batch' }
      : { kind: 'batch', account, format: 'batch', replyBytesMax };
  let empty = true;
  for (let bits = present; bits !== 0; bits &= bits - 1) {
    const name = sectionNames[31 - Math.clz32(bits & -bits)]!;
    const operations = sections[name].read(body as never, context);
    if (operations === undefined || (Array.isArray(operations) && operations.length === 0)) continue;
    batch[name] = operations;
    empty = false;
  }
  // LockID = UnlockID with nothing else is not empty: the lock's section has read it as an extension.
  if (empty) {
    return refuseField(`${root}batch`, `nothing to do; expected at least one of ${leadingMembers.join(', ')}`);
  }
  return withIdempotency(batch, readIdempotency(body, context, header));
}

interface MadeBatch {
  readonly kind: 'batch';
  readonly account: AccountId;
  readonly format: 'batch';
  readonly replyBytesMax?: number;
  [section: string]: unknown;
}

/**
 * A bit for each section that has a member in the body. Asking each section whether it is there took a fifth of what an
 * item of an array costs.
 *
 * @throws Refusal if there are too many operations
 */
function sectionsOfBody(body: Readonly<Record<string, unknown>>, { limits, root }: BatchContext): number {
  let present = 0;
  let count = 0;
  for (const name in body) {
    const member = members.get(name);
    if (member === undefined) continue;
    present |= member.bit;
    if (member.isList) count += (body[name] as readonly unknown[]).length;
  }
  const most = limits.batch_operations_max;
  if (count <= most) return present;
  const allowed = `at most ${most} (limits.batch_operations_max)`;
  return refuse('too_large', `${root}batch: ${count} operations; expected ${allowed}`);
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

/** Wraps, in place, each named member that is neither a list nor null in a list. */
export function writeOutLists(json: unknown, names: ReadonlySet<string>): void {
  if (!isRecord(json)) return;
  // A body has few members, so this is faster than a lookup for each name.
  for (const name in json) {
    if (!names.has(name)) continue;
    const value = json[name];
    if (value !== null && !Array.isArray(value)) json[name] = [value];
  }
}
