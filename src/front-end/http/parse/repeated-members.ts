/**
 * Refuses bodies in which an object names a member twice. `JSON.parse` keeps the last one in silence, so a batch with
 * two members `Check` would lose a condition. Values are left out: they are the client's documents, and a repeated
 * member in them means what it means everywhere in JavaScript (docs/decisions/0041-nothing-is-given-twice.md).
 *
 * Nearly every body is cleared by counting. Each member that the text has is a colon, and so may be parts of strings; so
 * a text with no more colons than its object has members outside of values repeats none of them. The same holds for
 * quotes with a colon, which strings hardly ever have, if no member has a space before its colon. Any other text is
 * scanned once. `JSON.parse` has accepted it, so the scan need not check syntax. It reads bytes, because a look at a
 * character of a string costs several times as much, and keeps only the places of names.
 */
import { refuseField } from '../../../protocol/refusal.ts';
import { isRecord } from './json.ts';

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const space = 0x20;

/**
 * The names of one object that are compared. No object of a body has so many members: more are either refused as
 * unknown fields, or belong to a member that is repeated itself.
 */
const namesMax = 64;
/** Longer strings are searched by native code, which takes its time to begin. */
const shortMax = 128;

/** The places of the names of all objects that are open; those of the innermost are last. */
const starts: number[] = [];
const ends: number[] = [];
/** For each open object, where its names begin in `starts`. */
const bases: number[] = [];

/** Members whose content is any JSON. */
export type ValueMembers = readonly Buffer[];

export function valueMembers(names: Iterable<string>): ValueMembers {
  return Array.from(names, (name) => Buffer.from(name));
}

/**
 * @param json what `JSON.parse` made of the text
 * @throws Refusal 400
 */
export function refuseRepeatedMembers(text: string, json: unknown, values: ValueMembers): void {
  const members = membersOf(json);
  if (count(text, ':') === members) return;
  if (count(text, '":') === members && !/[ \t\n\r]:/.test(text)) return;
  scan(Buffer.from(text), values);
}

function count(text: string, part: string): number {
  let found = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) found += 1;
  return found;
}

/** Counts the members of each batch, and of the items in its lists. */
function membersOf(json: unknown): number {
  if (!Array.isArray(json)) return membersOfBatch(json);
  let count = 0;
  for (const batch of json) count += membersOfBatch(batch);
  return count;
}

function membersOfBatch(batch: unknown): number {
  if (!isRecord(batch)) return 0;
  let count = 0;
  for (const name in batch) {
    count += 1;
    const member = batch[name];
    if (Array.isArray(member)) for (const item of member) count += membersOfItem(item);
    else count += membersOfItem(member);
  }
  return count;
}

function membersOfItem(item: unknown): number {
  if (!isRecord(item)) return 0;
  let count = 0;
  for (const name in item) if (name !== undefined) count += 1;
  return count;
}

function scan(bytes: Uint8Array, values: ValueMembers): void {
  starts.length = 0;
  ends.length = 0;
  bases.length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const code = bytes[at]!;
    if (code === quote) {
      const end = endOfString(bytes, at);
      const next = skipSpace(bytes, end + 1);
      if (bytes[next] !== colon) {
        at = end;
        continue;
      }
      if (isRepeated(bytes, at + 1, end)) refuseField(placeOf(bytes, at), 'given more than once; expected it once');
      at = holdsAny(bytes, at + 1, end, values) ? endOfValue(bytes, skipSpace(bytes, next + 1)) : next;
    } else if (code === openObject) {
      bases.push(starts.length);
    } else if (code === closeObject) {
      starts.length = bases.pop()!;
      ends.length = starts.length;
    }
  }
}

function isRepeated(bytes: Uint8Array, start: number, end: number): boolean {
  const base = bases[bases.length - 1]!;
  for (let i = base; i < starts.length; i += 1) {
    if (sameName(bytes, starts[i]!, ends[i]!, start, end)) return true;
  }
  if (starts.length - base < namesMax) {
    starts.push(start);
    ends.push(end);
  }
  return false;
}

// oxlint-disable-next-line max-params -- two places in one text, without an object for each
function sameName(bytes: Uint8Array, start: number, end: number, otherStart: number, otherEnd: number): boolean {
  const length = end - start;
  if (length === otherEnd - otherStart) {
    let i = 0;
    while (i < length && bytes[start + i] === bytes[otherStart + i]) i += 1;
    if (i === length) return true;
  }
  // The same name may be spelled with escapes.
  if (!hasEscape(bytes, start, end) && !hasEscape(bytes, otherStart, otherEnd)) return false;
  return nameAt(bytes, start, end) === nameAt(bytes, otherStart, otherEnd);
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) if (bytes[i] === backslash) return true;
  return false;
}

function nameAt(bytes: Uint8Array, start: number, end: number): string {
  return JSON.parse(Buffer.from(bytes.subarray(start - 1, end + 1)).toString()) as string;
}

function holdsAny(bytes: Uint8Array, start: number, end: number, values: ValueMembers): boolean {
  for (const name of values) {
    const length = end - start;
    if (length !== name.length) continue;
    let i = 0;
    while (i < length && bytes[start + i] === name[i]) i += 1;
    if (i === length) return true;
  }
  if (!hasEscape(bytes, start, end)) return false;
  const name = nameAt(bytes, start, end);
  return values.some((value) => value.toString() === name);
}

/** Returns the place of the closing quote. */
function endOfString(bytes: Uint8Array, at: number): number {
  const shortEnd = at + shortMax;
  for (at += 1; at < shortEnd; at += 1) {
    const code = bytes[at];
    if (code === quote) return at;
    if (code === backslash) at += 1;
  }
  for (let end = bytes.indexOf(quote, at); ; end = bytes.indexOf(quote, end + 1)) {
    let escapes = 0;
    while (bytes[end - 1 - escapes] === backslash) escapes += 1;
    if (escapes % 2 === 0) return end;
  }
}

function skipSpace(bytes: Uint8Array, at: number): number {
  while (bytes[at]! <= space) at += 1;
  return at;
}

/** Returns the last place of the value that begins at `at`. */
function endOfValue(bytes: Uint8Array, at: number): number {
  let depth = 0;
  for (; ; at += 1) {
    const code = bytes[at]!;
    if (code === quote) at = endOfString(bytes, at);
    else if (code === openObject || code === openList) depth += 1;
    else if (code === closeObject || code === closeList) depth -= 1;
    else if (depth > 0 || !endsLiteral(bytes[at + 1]!)) continue;
    if (depth === 0) return at;
  }
}

function endsLiteral(next: number): boolean {
  return next === comma || next === closeObject || next <= space;
}

/** Returns the path of the member whose name begins at `place`: `[3].KVSet[1].Key`. Only for the error. */
function placeOf(bytes: Uint8Array, place: number): string {
  const path: (string | number)[] = [];
  for (let at = 0; at <= place; at += 1) {
    const code = bytes[at];
    if (code === quote) {
      const end = endOfString(bytes, at);
      if (bytes[skipSpace(bytes, end + 1)] === colon) path[path.length - 1] = nameAt(bytes, at + 1, end);
      at = end;
    } else if (code === openList) path.push(0);
    else if (code === openObject) path.push('');
    else if (code === closeList || code === closeObject) path.pop();
    else if (code === comma && typeof path.at(-1) === 'number') path[path.length - 1] = Number(path.at(-1)) + 1;
  }
  let shown = '';
  for (const part of path) {
    if (typeof part === 'number') shown += `[${part}]`;
    else shown += `${shown === '' ? '' : '.'}${part.slice(0, 64)}`;
  }
  return shown;
}
