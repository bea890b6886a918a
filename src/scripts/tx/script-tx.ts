/** The host's side of `tx`: each member of the object that scripts have ends here (machine/prelude.ts). */
import { scriptReasonBytesMax, scriptResultBytesMax } from '../script-limits.ts';
import { quoted, shown } from '../../shared/text.ts';
import type { ScriptReads } from '../script-run.ts';
import { BatchNotes, type NotedMember } from './batch-notes.ts';
import { aName, anInteger, wireOptions, type OptionOwner } from './options.ts';
import { ReadSet, type ReadEntry } from './read-set.ts';
import { mistaken, overLimit, RunEnd } from './run-end.ts';
import { RunLog } from './run-log.ts';

/** Arguments are JSON text, or plain text where the prelude says so. */
type Member = (tx: ScriptTx, a: string, b: string | undefined, c: string | undefined) => string | undefined;

export class ScriptTx {
  readonly reads: ReadSet;
  readonly notes = new BatchNotes();
  readonly log: RunLog;

  constructor(reads: ScriptReads, log: RunLog) {
    this.reads = new ReadSet(reads);
    this.log = log;
  }

  /** @throws RunEnd, and TxMistake for what the script may catch */
  call(name: string, a: string, b: string | undefined, c: string | undefined): string | undefined {
    return txMembers[name]!(this, a, b, c);
  }

  note(member: NotedMember, item: Readonly<Record<string, unknown>>): void {
    this.notes.add(member, JSON.stringify(item));
  }
}

export const txMembers: Readonly<Record<string, Member>> = {
  get: (tx, key) => tx.reads.entry(aName(key, 'tx.get: key'))?.value,
  entry: (tx, key) => {
    const entry = tx.reads.entry(aName(key, 'tx.entry: key'));
    return entry && `{${membersOf(entry)}}`;
  },
  getAll: (tx, given) => {
    const keys = (JSON.parse(given) as unknown[]).map((key, i) => aName(key, `tx.getAll: keys[${i}]`));
    const values = tx.reads.entries(keys).map((entry) => (entry === undefined ? '[]' : `[${entry.value}]`));
    return `[${values.join(',')}]`;
  },
  counter: (tx, key) => String(tx.reads.counter(aName(key, 'tx.counter: key'))),
  list: (tx, prefix, options) => {
    if (prefix !== '') aName(prefix, 'tx.list: prefix');
    const { after, limit } = wireOptions('list', options) as { after?: string; limit?: number };
    const rows = tx.reads.list(prefix, after, limit).map((row) => `{"key":${quoted(row.key)},${membersOf(row)}}`);
    return `[${rows.join(',')}]`;
  },
  set: (tx, key, value, options) => {
    aName(key, 'tx.set: key');
    tx.notes.add('KVSet', `{"Key":${quoted(key)},"Value":${value}${optionsText('set', options)}}`);
    tx.reads.set(key, value!);
    return undefined;
  },
  delete: (tx, key, options) => {
    aName(key, 'tx.delete: key');
    tx.notes.add('KVSet', `{"Key":${quoted(key)},"Delete":true${optionsText('delete', options)}}`);
    tx.reads.set(key, null);
    return undefined;
  },
  merge: (tx, key, patch, options) => {
    aName(key, 'tx.merge: key');
    tx.notes.add('KVSet', `{"Key":${quoted(key)},"Merge":${patch}${optionsText('merge', options)}}`);
    tx.reads.merge(key, patch!);
    return undefined;
  },
  add: (tx, counter, n, options) => {
    const Key = aName(counter, 'tx.add: counter');
    const Add = anInteger()(Number(n), 'tx.add: n');
    tx.note('Atomic', { Key, Add, ...wireOptions('add', options) });
    tx.reads.add(counter, Add);
    return undefined;
  },
  enqueue: (tx, queue, data, options) => {
    aName(queue, 'tx.enqueue: queue');
    tx.notes.add('Enqueue', `{"Queue":${quoted(queue)},"Data":${data}${optionsText('enqueue', options)}}`);
    return undefined;
  },
  ack: (tx, queue, receipt, options) => give(tx, 'ack', { queue, receipt, options }),
  nack: (tx, queue, receipt, options) => give(tx, 'nack', { queue, receipt, options }),
  task: (tx, id, options) => {
    tx.note('Tasks', { ID: aName(id, 'tx.task: id'), ...wireOptions('task', options) });
    return undefined;
  },
  cancelTask: (tx, id, options) => {
    tx.note('TaskCancel', { ID: aName(id, 'tx.cancelTask: id'), ...wireOptions('cancelTask', options) });
    return undefined;
  },
  limit: (tx, key, options) => {
    const item = { Key: aName(key, 'tx.limit: key'), ...wireOptions('limit', options) };
    if (!('Rate' in item))
      return mistaken('tx.limit: options.rate: missing; expected how much comes back in each `per`');
    tx.note('Limit', item);
    return undefined;
  },
  guard: (tx, lock, handle) => {
    tx.note('Guard', { LockID: aName(lock, 'tx.guard: lock'), Lock: anInteger(1)(Number(handle), 'tx.guard: handle') });
    return undefined;
  },
  fail: (_tx, reason, details) => {
    if (reason === '' || Buffer.byteLength(reason) > scriptReasonBytesMax)
      return mistaken(`tx.fail: reason: expected 1 to ${scriptReasonBytesMax} bytes, got ${shown(reason)}`);
    if (details !== undefined && Buffer.byteLength(details) > scriptResultBytesMax)
      return overLimit(`The details of the refusal take more than ${scriptResultBytesMax} bytes`);
    throw new RunEnd({ kind: 'refused', reason: reason.toWellFormed(), details });
  },
  log: (tx, line) => {
    tx.log.add(line);
    return undefined;
  },
};

interface Giving {
  readonly queue: string;
  /** `[id, lock]`. */
  readonly receipt: string | undefined;
  readonly options: string | undefined;
}

function give(tx: ScriptTx, name: 'ack' | 'nack', { queue, receipt, options }: Giving): undefined {
  const [id, lock] = JSON.parse(receipt!) as unknown[];
  const Queue = aName(queue, `tx.${name}: queue`);
  const ID = aName(id, `tx.${name}: id`);
  // Without a lock only a dead message is acked.
  const held = lock === null ? {} : { Lock: anInteger(1)(lock, `tx.${name}: lock`) };
  tx.note(name === 'ack' ? 'Ack' : 'Nack', { Queue, ID, ...held, ...wireOptions(name, options) });
}

function membersOf({ value, version }: ReadEntry): string {
  return version === undefined ? `"value":${value}` : `"value":${value},"version":${version}`;
}

/** The members of options behind those of an item: `,"TTL":60`. */
function optionsText(owner: OptionOwner, given: string | undefined): string {
  const text = JSON.stringify(wireOptions(owner, given));
  return text === '{}' ? '' : `,${text.slice(1, -1)}`;
}
