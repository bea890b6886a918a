/**
 * Judges what clients saw of an account that is deleted and loaded as a whole, without a model:
 *
 *   what was put before a deletion is seen by nobody behind it, and what was put behind it is not lost
 *   a page of an import is seen whole or not at all, and so is a batch
 *   nobody is told that the account is being deleted before somebody has asked for that
 *   a sequence gives no number twice, and begins anew behind a deletion only
 *
 * Each value is put once, so whoever sees one knows who has put it, and its version says at which revision.
 */
import { isOfWholeAccount } from '../generators/whole-account.ts';
import { describe, type Answer, type History, type Operation, type Violation } from './history.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

export interface AccountReport {
  readonly violations: readonly Violation[];
  readonly counts: Readonly<Record<'wipes' | 'loads' | 'reads' | 'seen', number>>;
}

interface Write {
  readonly operation: Operation;
  readonly batch: Batch;
  /** Of its commit, as it was told or seen. Absent: nobody knows whether it happened. */
  rev: number | undefined;
}

interface Row {
  readonly Key: string;
  readonly Value?: unknown;
  readonly Version: number;
}

export function checkAccounts({ operations }: History): AccountReport {
  const ledger = new AccountLedger(operations.filter(({ call }) => isOfWholeAccount(call)));
  return ledger.judge();
}

class AccountLedger {
  readonly #operations: readonly Operation[];
  readonly #violations: Violation[] = [];
  readonly #counts = { wipes: 0, loads: 0, reads: 0, seen: 0 };
  readonly #writes: readonly Write[];
  readonly #byValue = new Map<string, Write>();
  readonly #wipes: readonly Write[];

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
    this.#writes = operations.flatMap((operation) => {
      const { call, answer } = operation;
      if (call.kind !== 'batch' || call.get !== undefined) return [];
      // What was refused did nothing.
      if (answer !== undefined && answer.status !== 200) return [];
      return [{ operation, batch: call, rev: answer?.body.Rev }];
    });
    this.#wipes = this.#writes.filter(({ batch }) => batch.wipe !== undefined);
    for (const write of this.#writes)
      for (const { value } of putsOf(write.batch)) if (value !== undefined) this.#byValue.set(value, write);
  }

  judge(): AccountReport {
    const acked = this.#writes.filter(({ rev }) => rev !== undefined);
    this.#counts.wipes = acked.filter(({ batch }) => batch.wipe !== undefined).length;
    this.#counts.loads = acked.filter(({ batch }) => batch.load !== undefined).length;
    const reads = this.#operations.filter(({ answer }) => answer?.status === 200 && rowsOf(answer) !== undefined);
    for (const read of reads) for (const row of rowsOf(read.answer!)!) this.#learn(read, row);
    for (const read of reads) this.#checkRead(read);
    for (const operation of this.#operations) this.#checkRefusal(operation);
    this.#checkNumbers();
    return { violations: this.#violations, counts: this.#counts };
  }

  /** Whoever was not answered may have happened: then its value is seen, with the revision of its commit. */
  #learn(read: Operation, { Key, Value, Version }: Row): void {
    if (Version === 0) return;
    const write = this.#byValue.get(JSON.stringify(Value));
    if (write === undefined) return this.#fault(`${Key} has a value that nobody has put`, read);
    this.#counts.seen += 1;
    if (write.rev === undefined) write.rev = Version;
    else if (write.rev !== Version)
      this.#fault(`${Key} was put at revision ${write.rev}, and has version ${Version}`, write.operation, read);
  }

  #checkRead(read: Operation): void {
    const { answer } = read;
    const rev = answer!.body.Rev!;
    this.#counts.reads += 1;
    const rows = new Map(rowsOf(answer!)!.map((row) => [row.Key, row]));
    for (const { Key, Version } of rows.values()) {
      if (Version > rev) this.#fault(`${Key} has version ${Version} at revision ${rev}`, read);
      if (Version > 0) this.#checkSeen(read, { key: Key, version: Version, rev });
    }
    // What was put at one revision, and was not replaced, is all there: a write whose outcome was seen, too.
    for (const write of this.#writes) {
      if (write.rev === undefined || write.rev > rev) continue;
      for (const { key, value } of putsOf(write.batch)) {
        if (value === undefined || (rows.get(key)?.Version ?? 0) >= write.rev) continue;
        if (this.#mayBeGone(key, write, read)) continue;
        this.#fault(`${key} was put at revision ${write.rev}, and is not there at ${rev}`, write.operation, read);
      }
    }
  }

  /** Nobody has replaced, deleted or wiped it between its version and the revision at which it is seen. */
  #checkSeen(read: Operation, { key, version, rev }: { key: string; version: number; rev: number }): void {
    for (const { rev: at, batch, operation } of this.#writes) {
      if (at === undefined || at <= version || at > rev) continue;
      if (batch.wipe !== undefined)
        this.#fault(`${key} of revision ${version} is there behind the deletion at ${at}`, operation, read);
      else if (putsOf(batch).some((put) => put.key === key))
        this.#fault(`${key} of revision ${version} is there behind the write at ${at}`, operation, read);
    }
  }

  #mayBeGone(key: string, { rev, operation: put }: Write, read: Operation): boolean {
    return this.#writes.some(({ rev: at, batch, operation }) => {
      if (operation === put) return false;
      const removes = batch.wipe !== undefined || putsOf(batch).some((other) => other.key === key);
      if (!removes) return false;
      if (at === undefined) return operation.sentAt <= read.answer!.at;
      return at > rev! && at <= read.answer!.body.Rev!;
    });
  }

  #checkRefusal(operation: Operation): void {
    const { answer } = operation;
    if (answer?.body.Code !== 'account_deleting') return;
    const asked = this.#operations.some(
      ({ call, sentAt }) => call.kind === 'batch' && call.wipe !== undefined && sentAt <= answer.at,
    );
    if (!asked) this.#fault('nobody has asked to delete the account', operation);
  }

  #checkNumbers(): void {
    const given = this.#writes
      .filter(({ batch, rev }) => batch.sequence !== undefined && rev !== undefined)
      .map(({ operation, rev }) => ({ operation, rev: rev!, number: Number(operation.answer!.body['Value']) }))
      .toSorted((a, b) => a.rev - b.rev);
    for (const [i, { operation, rev, number }] of given.entries()) {
      const before = given[i - 1];
      if (before === undefined || number > before.number) continue;
      const { rev: last, operation: other } = before;
      const wiped = this.#wipes.some(({ rev: at }) => at === undefined || (at > last && at <= rev));
      if (!wiped) this.#fault(`a sequence gives ${number} behind ${before.number}`, other, operation);
    }
    for (const { rev: at, operation: wipe } of this.#wipes) {
      const first = given.find(({ rev }) => at !== undefined && rev > at);
      if (first === undefined || at === undefined) continue;
      // Behind a deletion only what was asked behind it, or has no answer, can have moved the sequence.
      const most = this.#writes.reduce((sum, { batch, rev, operation }) => {
        const counts =
          rev === undefined ? operation.sentAt <= first.operation.answer!.at : rev > at && rev <= first.rev;
        if (!counts) return sum;
        return sum + (batch.sequence === undefined ? loadedTo(batch) : 1);
      }, 0);
      if (first.number > most)
        this.#fault(`a sequence goes on with ${first.number} behind the deletion at ${at}`, wipe, first.operation);
    }
  }

  #fault(what: string, ...operations: Operation[]): void {
    const message = `${operations.map(describe).join('; ')}: ${what}`;
    this.#violations.push({ verdict: 'violation', message, operations: operations.map(({ id }) => id) });
  }
}

function putsOf({ set = [], load = [] }: Batch): { readonly key: string; readonly value?: string }[] {
  const loaded = load.flatMap((operation) =>
    operation.kind === 'kv'
      ? [{ key: operation.key, ...(operation.value !== undefined && { value: operation.value }) }]
      : [],
  );
  return [...set.map(({ key, value }) => (value === undefined ? { key } : { key, value })), ...loaded];
}

function loadedTo({ load = [] }: Batch): number {
  return load.reduce((most, operation) => (operation.kind === 'sequence' ? Math.max(most, operation.value) : most), 0);
}

function rowsOf({ body }: Answer): readonly Row[] | undefined {
  return body['KV'] as readonly Row[] | undefined;
}
