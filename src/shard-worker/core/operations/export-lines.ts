/**
 * Lines of an export (protocol/operations/account-lines.ts), of what a shard has and of what the journal says has
 * changed. Not exported are leases, tasks, and what queues note of deliveries: they belong to the server that gave them.
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

/** In the order of an export. */
const exported: readonly Kind[] = [
  kinds.kv,
  kinds.counter,
  kinds.sequence,
  kinds.queue,
  kinds.limit,
  kinds.idempotency,
  kinds.lock,
  kinds.script,
];
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
  const first = after === undefined ? 0 : Number(after.charAt(0));
  for (const [place, kind] of exported.entries()) {
    if (place < first) continue;
    const from = place === first && after !== undefined ? after.slice(1) : undefined;
    for (const located of state.entries.range(kind, account, '', from)) {
      // Only this further entry shows that there is more.
      if (last !== undefined && (rows.length >= limit || bytes >= pageBytesMax || scanned >= pageScanMax))
        return { rows, after: last };
      scanned += 1;
      last = String(place) + located.key;
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
  if (kind !== kinds.queue) return thingLine({ kind, key, ...entry }, entry.rev);
  const part = partIn(key);
  const line = state.queues.of(state.entries, account, part.queue);
  if (part.letter === 'p') return line.record.forgotten ? undefined : queueLine(part, entry.value, entry.rev);
  // What was purged may not have been swept yet.
  if (!isMessage(part.letter) || !key.startsWith(line.prefix(part.letter))) return undefined;
  const waits = state.entries.get(kinds.queue, account, line.prefix('s') + part.place);
  return messageLine(part, { value: entry.value, till: entry.till, due: dueOf(waits) });
}

/** The lines of one commit, in the order of its effects. */
export function changedLines({ effects, rev }: CommitRecord): string[] {
  const states = new Map<string, number>();
  for (const { kind, key, value, till } of effects) {
    if (kind !== kinds.queue || value === undefined) continue;
    const { queue, letter, place } = partIn(key);
    if (letter === 's') states.set(`${queue}\0${place}`, dueOf({ value, till }));
  }
  const reply = (id: string): string | undefined =>
    effects.find(({ kind, key }) => kind === kinds.idempotency && key === id)?.value;
  return effects.flatMap((effect) =>
    isRemembered(effect.kind) ? (rememberedLine(effect, reply) ?? []) : (changedLine(effect, rev, states) ?? []),
  );
}

function changedLine(effect: Effect, rev: number, states: ReadonlyMap<string, number>): string | undefined {
  const { kind, key, value, till } = effect;
  if (kind !== kinds.queue) return thingLine(effect, rev);
  const part = partIn(key);
  if (part.letter === 'p') return queueLine(part, value, rev);
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
  return letter === 'm' || letter === 'd' || letter === 'g' || letter === 'z';
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
  const { at, priority, data } = dead ?? decodeMessage(value);
  const group = dead === undefined ? groupIn(part) : dead.group;
  const members = [
    `{"Kind":"message",${messageName(part)}`,
    ...(group === undefined ? [] : [`"Group":${quoted(group)}`]),
    ...(priority === 0 ? [] : [`"Priority":${priority}`]),
    `"AtMs":${at}`,
    ...(due === 0 ? [] : [`"DueMs":${due}`]),
  ];
  const failed = dead?.error === undefined ? '' : `,"Error":${quoted(dead.error)}`;
  const death = dead === undefined ? '' : `,"Dead":{"Attempts":${dead.attempts},"AtMs":${dead.diedAt}${failed}}`;
  return `${members.join(',')}${tillMember(till)}${death},"Data":${data}}`;
}

function groupIn({ letter, rest }: QueuePart): string | undefined {
  return letter === 'g' ? rest.slice(0, -placeLength - 1) : undefined;
}

function queueLine({ queue }: QueuePart, value: string | undefined, rev: number): string {
  const head = `{"Kind":"queue","Queue":${quoted(queue)}`;
  if (value === undefined) return `${head},"Policy":{}}`;
  const { policy, paused, generation } = decodeQueue(value, rev);
  const of = generation === 0 ? '' : `,"Generation":${generation}`;
  return `${head},"Policy":${JSON.stringify(policy)}${paused ? ',"Paused":true' : ''}${of}}`;
}
