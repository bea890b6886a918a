/**
 * Lines of an export (protocol/operations/account-lines.ts), of what a shard has and of what the journal says has
 * changed. `exportedKinds` and `exportedParts` say what of it is exported, and why the rest is not.
 */
import { hasLapsed, type LocatedEntry } from '../../../protocol/entries.ts';
import type { AccountExport } from '../../../protocol/operations/account.ts';
import { pageBytesMax, pageScanMax } from '../../../shared/limits.ts';
import type { Page, Row } from '../../../protocol/page-rows.ts';
import { kinds, type CommitRecord, type Effect, type Kind } from '../../../protocol/record.ts';
import { quoted } from '../../../shared/text.ts';
import {
  decodeDead,
  decodeMessage,
  decodeQueue,
  decodeState,
  parsePlace,
  type PartLetter,
} from '../state/queue-records.ts';
import type { ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { isRemembered, rememberedLine, replyUnder } from './export-memories.ts';
import { runLine, settingLine, taskLine } from './export-tasks.ts';

type NotExported = `not: ${string}`;

/** The place of each kind in the order of an export, or why it has none. */
export const exportedKinds = {
  kv: 0,
  counter: 1,
  sequence: 2,
  queue: 3,
  limit: 4,
  idempotency: 5,
  lock: 6,
  script: 7,
  task: 8,
  taskSetting: 9,
  taskState: 'not: it is told with its task',
  share: 'not: a lease belongs to the server that gave it; its lock tells how the last one ended',
  boot: 'not: it is of the server',
  audit: 'not: it tells what was done on this server',
  deletion: 'not: an account that is being deleted is not exported',
} as const satisfies Record<keyof typeof kinds, number | NotExported>;

/** The same of the parts of a queue. */
export const exportedParts = {
  m: 'message',
  d: 'message',
  g: 'message',
  z: 'message',
  x: 'dedup',
  p: 'queue',
  s: 'not: of a delivery; how long a message waits is told with it',
  G: 'not: it follows from the messages of the group',
  r: 'not: where something stands in line follows from the order of the lines',
  k: 'not: what is blocked is tried again where it is imported',
  o: 'not: receipts belong to the server that gave them',
  h: 'not: a mark in the line',
} as const satisfies Record<PartLetter, 'message' | 'dedup' | 'queue' | NotExported>;

/** In the order of an export. */
const exported: readonly Kind[] = (Object.keys(exportedKinds) as (keyof typeof kinds)[])
  .filter((name) => typeof exportedKinds[name] === 'number')
  .toSorted((a, b) => Number(exportedKinds[a]) - Number(exportedKinds[b]))
  .map((name) => kinds[name]);
const placeRadix = 36;

const names: Partial<Record<Kind, string>> = {
  [kinds.kv]: 'kv',
  [kinds.counter]: 'counter',
  [kinds.sequence]: 'sequence',
  [kinds.script]: 'script',
};

/** The keys of rows begin with the place of their kind, so that pages of several shards can be merged. */
export function exportAccount({ state, now }: Turn, { account, after, limit }: AccountExport): Page {
  const rows: Row[] = [];
  let bytes = 0;
  let scanned = 0;
  let last: string | undefined;
  const first = after === undefined ? 0 : parseInt(after.charAt(0), placeRadix);
  for (const [place, kind] of exported.entries()) {
    if (place < first) continue;
    const from = place === first && after !== undefined ? after.slice(1) : undefined;
    for (const located of state.entries.range(kind, account, '', from)) {
      // Only this further entry shows that there is more.
      if (last !== undefined && (rows.length >= limit || bytes >= pageBytesMax || scanned >= pageScanMax))
        return { rows, after: last };
      scanned += 1;
      last = place.toString(placeRadix) + located.key;
      const body = lineOf(state, located, now);
      if (body === undefined) continue;
      bytes += body.length;
      rows.push({ key: last, body });
    }
  }
  return { rows };
}

function lineOf(state: ShardState, { kind, account, key, entry }: LocatedEntry, now: number): string | undefined {
  if (hasLapsed(entry, now)) return undefined;
  if (isRemembered(kind)) return rememberedLine({ kind, key, ...entry }, (id) => replyUnder(state, account, id, entry));
  if (kind === kinds.task)
    return taskLine({ key, ...entry }, entry.rev, state.entries.get(kinds.taskState, account, key));
  if (kind === kinds.taskSetting) return settingLine({ key, ...entry });
  if (kind !== kinds.queue) return thingLine({ kind, key, ...entry }, entry.rev);
  const part = partIn(key);
  const line = state.queues.of(state.entries, account, part.queue);
  if (part.letter === 'p') return line.record.forgotten ? undefined : queueLine(part, entry.value, entry.rev);
  // What was purged may not have been swept yet.
  if (!key.startsWith(line.prefix(part.letter))) return undefined;
  if (part.letter === 'x') return dedupLine(part, entry);
  if (!isMessage(part.letter)) return undefined;
  const waits = state.entries.get(kinds.queue, account, line.prefix('s') + part.place);
  return messageLine(part, { value: entry.value, till: entry.till, due: dueOf(waits) });
}

/** The lines of one commit, in the order of its effects. */
export function changedLines({ effects, rev }: CommitRecord): string[] {
  const states = new Map<string, number>();
  const tasks = new Map<string, Effect>();
  for (const effect of effects) {
    const { kind, key, value, till } = effect;
    if (kind === kinds.task || kind === kinds.taskState) tasks.set(`${kind} ${key}`, effect);
    if (kind !== kinds.queue || value === undefined) continue;
    const { queue, letter, place } = partIn(key);
    if (letter === 's') states.set(`${queue}\0${place}`, dueOf({ value, till }));
  }
  const reply = (id: string): string | undefined =>
    effects.find(({ kind, key }) => kind === kinds.idempotency && key === id)?.value;
  return effects.flatMap((effect) => {
    const { kind } = effect;
    if (isRemembered(kind)) return rememberedLine(effect, reply) ?? [];
    if (kind === kinds.task || kind === kinds.taskState) return changedTask(effect, tasks, rev) ?? [];
    return (kind === kinds.taskSetting ? settingLine(effect) : changedLine(effect, rev, states)) ?? [];
  });
}

/** The line of a definition has its state, too. */
function changedTask(effect: Effect, tasks: ReadonlyMap<string, Effect>, rev: number): string | undefined {
  const isTask = effect.kind === kinds.task;
  const other = tasks.get(`${isTask ? kinds.taskState : kinds.task} ${effect.key}`);
  if (isTask) return taskLine(effect, rev, other);
  return other === undefined ? runLine(effect) : undefined;
}

function changedLine(effect: Effect, rev: number, states: ReadonlyMap<string, number>): string | undefined {
  const { kind, key, value, till } = effect;
  if (kind !== kinds.queue) return thingLine(effect, rev);
  const part = partIn(key);
  if (part.letter === 'p') return queueLine(part, value, rev);
  if (part.letter === 'x') return dedupLine(part, effect);
  if (!isMessage(part.letter)) return undefined;
  if (value === undefined) return `{"Kind":"message",${messageName(part)},"Deleted":true}`;
  return messageLine(part, { value, till, due: states.get(`${part.queue}\0${part.place}`) ?? 0 });
}

function thingLine({ kind, key, value, till }: Effect, rev: number): string | undefined {
  const name = names[kind];
  if (name === undefined) return undefined;
  const head = `{"Kind":"${name}","Key":${quoted(key)}`;
  if (value === undefined) return `${head},"Deleted":true}`;
  const version = kind === kinds.kv || kind === kinds.script ? `,"Version":${rev}` : '';
  return `${head},"Value":${value}${version}${tillMember(till)}}`;
}

function tillMember(till: number): string {
  return till === 0 ? '' : `,"TillMs":${till}`;
}

interface QueuePart {
  readonly queue: string;
  readonly letter: PartLetter;
  readonly generation: number;
  /** What is behind the colon, and its last characters: where a message stands. */
  readonly rest: string;
  readonly place: string;
}

const placeLength = 15;

function partIn(key: string): QueuePart {
  const nul = key.indexOf('\0');
  const colon = key.indexOf(':', nul);
  const rest = key.slice(colon + 1);
  const generation = key.slice(nul + 2, colon);
  return {
    queue: key.slice(0, nul),
    letter: key.charAt(nul + 1) as PartLetter,
    generation: generation === '' ? 0 : parseInt(generation, 32),
    rest,
    place: rest.slice(-placeLength),
  };
}

function isMessage(letter: PartLetter): boolean {
  return exportedParts[letter] === 'message';
}

/** Of a message that waits: until when. */
function dueOf(part: { readonly value: string; readonly till: number } | undefined): number {
  return part !== undefined && decodeState(part.value).state === 'w' ? part.till : 0;
}

/** The ID of a line is the place alone: group and priority are members of their own. */
function messageName({ queue, place, generation }: QueuePart): string {
  const { rev, index } = parsePlace(place);
  const of = generation === 0 ? '' : `,"Generation":${generation}`;
  return `"Queue":${quoted(queue)},"ID":"${rev}-${index}"${of}`;
}

function messageLine(
  part: QueuePart,
  { value, till, due }: { readonly value: string; readonly till: number; readonly due: number },
): string {
  const dead = part.letter === 'z' ? decodeDead(value) : undefined;
  const { at, priority, data, pending } = dead === undefined ? decodeMessage(value) : { ...dead, pending: undefined };
  const group = dead === undefined ? groupIn(part) : dead.group;
  const members = [
    `{"Kind":"message",${messageName(part)}`,
    ...(group === undefined ? [] : [`"Group":${quoted(group)}`]),
    ...(priority === 0 ? [] : [`"Priority":${priority}`]),
    `"AtMs":${at}`,
    ...(due === 0 ? [] : [`"DueMs":${due}`]),
    ...(pending === undefined ? [] : [`"DedupID":${quoted(pending)}`]),
  ];
  const failed = dead?.error === undefined ? '' : `,"Error":${quoted(dead.error)}`;
  const death = dead === undefined ? '' : `,"Dead":{"Attempts":${dead.attempts},"AtMs":${dead.diedAt}${failed}}`;
  return `${members.join(',')}${tillMember(till)}${death},"Data":${data}}`;
}

/** A DedupID that counts while its message is in the queue is told with that. */
function dedupLine(
  { queue, rest, generation }: QueuePart,
  { value, till }: Pick<Effect, 'value' | 'till'>,
): string | undefined {
  const of = generation === 0 ? '' : `,"Deletions":${generation}`;
  const head = `{"Kind":"dedup","Queue":${quoted(queue)},"Key":${quoted(rest)}${of}`;
  if (value === undefined) return `${head},"Deleted":true}`;
  return till === 0 ? undefined : `${head},"TillMs":${till}}`;
}

function groupIn({ letter, rest }: QueuePart): string | undefined {
  return letter === 'g' ? rest.slice(0, -placeLength - 1) : undefined;
}

function queueLine({ queue }: QueuePart, value: string | undefined, rev: number): string {
  const head = `{"Kind":"queue","Queue":${quoted(queue)}`;
  if (value === undefined) return `${head},"Policy":{}}`;
  const { policy, paused, generation, deletions } = decodeQueue(value, rev);
  const purges = generation === 0 ? '' : `,"Generation":${generation}`;
  const of = deletions === 0 ? purges : `${purges},"Deletions":${deletions}`;
  return `${head},"Policy":${JSON.stringify(policy)}${paused ? ',"Paused":true' : ''}${of}}`;
}
