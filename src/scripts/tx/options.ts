/**
 * Options of `tx` and their members in a batch of the HTTP API. A table for each call: the name that scripts write, the
 * name on the wire, and what checks the value and turns it into what the wire has. Durations are milliseconds or have
 * their unit, as in the client; the wire has seconds. What only the server can judge, it judges with the batch.
 */
import { aDurationText, msOfText } from '../../shared/durations.ts';
import { keyBytesMax, ttlMsMax } from '../../shared/limits.ts';
import { shown } from '../../shared/text.ts';
import { mistaken } from './run-end.ts';

type Convert = (value: unknown, place: string) => unknown;
type OptionTable = Readonly<Record<string, readonly [wire: string, convert: Convert]>>;

/** Checks the name of a key, a counter, a queue, a lock, a task. */
export function aName(value: unknown, place: string): string {
  if (typeof value !== 'string') return mistaken(`${place}: expected a string, got ${shown(value)}`);
  const isShort = value.length * 3 <= keyBytesMax || Buffer.byteLength(value) <= keyBytesMax;
  if (value === '' || !isShort || !value.isWellFormed() || value.includes('\0'))
    return mistaken(
      `${place}: expected 1 to ${keyBytesMax} bytes of well-formed UTF-8 without NUL, got ${shown(value)}`,
    );
  return value;
}

export const anInteger =
  (min = -Number.MAX_SAFE_INTEGER): ((value: unknown, place: string) => number) =>
  (value, place) =>
    Number.isSafeInteger(value) && (value as number) >= min
      ? (value as number)
      : mistaken(`${place}: expected an integer from ${min} to 2^53−1, got ${shown(value)}`);

const aNumber: Convert = (value, place) =>
  typeof value === 'number' ? value : mistaken(`${place}: expected a number, got ${shown(value)}`);

const aString: Convert = (value, place) =>
  typeof value === 'string' ? value : mistaken(`${place}: expected a string, got ${shown(value)}`);

const aFlag: Convert = (value, place) =>
  typeof value === 'boolean' ? value : mistaken(`${place}: expected true or false, got ${shown(value)}`);

const asIs: Convert = (value) => value;

const seconds =
  (min: number): Convert =>
  (value, place) => {
    const ms = typeof value === 'string' ? msOfText(value) : value;
    if (typeof ms !== 'number')
      return mistaken(`${place}: expected milliseconds, or ${aDurationText}, got ${shown(value)}`);
    if (!(ms >= min && ms <= ttlMsMax))
      return mistaken(`${place}: expected ${min} to ${ttlMsMax} milliseconds, got ${shown(value)}`);
    return ms / 1000;
  };

/** Milliseconds since the epoch; a Date of the script arrives as its text. */
const moment: Convert = (value, place) => {
  const ms = typeof value === 'string' ? Date.parse(value) : value;
  return typeof ms === 'number' && ms >= 0
    ? ms / 1000
    : mistaken(`${place}: expected a Date, or milliseconds since the epoch, got ${shown(value)}`);
};

const retry: Convert = (value, place) => toWire(value, retryTable, `${place}.`);

const version = ['Version', anInteger(0)] as const;
const retryTable: OptionTable = {
  max: ['Max', anInteger(0)],
  min: ['Min', seconds(0)],
  maxDelay: ['MaxDelay', seconds(0)],
  factor: ['Factor', aNumber],
};

export const optionTables = {
  set: { ttl: ['TTL', seconds(1)], version },
  delete: { version },
  merge: { ttl: ['TTL', seconds(1)], version },
  add: { floor: ['Floor', anInteger()], ceil: ['Ceil', anInteger()], ttl: ['TTL', seconds(1)] },
  enqueue: {
    group: ['Group', aName],
    dedup: ['DedupID', aName],
    delay: ['Delay', seconds(0)],
    ttl: ['TTL', seconds(1)],
    priority: ['Priority', anInteger(0)],
  },
  ack: {},
  nack: { delay: ['Delay', seconds(0)], error: ['Error', aString], return: ['Return', aFlag] },
  task: {
    at: ['At', moment],
    delay: ['Delay', seconds(0)],
    cron: ['Cron', aString],
    tz: ['TZ', aString],
    every: ['Every', seconds(1000)],
    url: ['URL', aString],
    method: ['Method', aString],
    headers: ['Headers', asIs],
    body: ['Body', asIs],
    queue: ['Queue', aName],
    data: ['Data', asIs],
    group: ['Group', aName],
    script: ['Script', aName],
    args: ['Args', asIs],
    deadline: ['Deadline', seconds(1000)],
    retry: ['Retry', retry],
    flowKey: ['FlowKey', aName],
    misfire: ['Misfire', aString],
    maxLate: ['MaxLate', seconds(1)],
    overlap: ['Overlap', aString],
    until: ['Until', moment],
    resultQueue: ['ResultQueue', aName],
    replace: ['Replace', aFlag],
    version,
  },
  cancelTask: { version },
  limit: {
    rate: ['Rate', aNumber],
    per: ['Per', seconds(1)],
    burst: ['Burst', anInteger(1)],
    cost: ['Cost', anInteger(0)],
  },
  list: { after: ['after', aName], limit: ['limit', anInteger(1)] },
} as const satisfies Record<string, OptionTable>;

export type OptionOwner = keyof typeof optionTables;

/** @param given JSON text of an object, or nothing */
export function wireOptions(owner: OptionOwner, given: string | undefined): Readonly<Record<string, unknown>> {
  if (given === undefined) return {};
  return toWire(JSON.parse(given), optionTables[owner], `tx.${owner}: options.`);
}

function toWire(given: unknown, table: OptionTable, place: string): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return mistaken(`${place.slice(0, -1)}: expected an object, got ${shown(given)}`);
  const wire: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    const names = Object.keys(table).join(', ');
    if (row === undefined) return mistaken(`${place}${name}: there is no such option; expected ${names || 'none'}`);
    wire[row[0]] = row[1](value, `${place}${name}`);
  }
  return wire;
}
