/**
 * The copy of keys that a script works on: what its front end has read, and what the script has written so far. What is
 * left at its end goes to the shards as one batch, on the condition that the versions are still those that were read.
 */
import { hasLapsed, type Entry } from '../../../protocol/entries.ts';
import type { Failure } from '../../../protocol/errors.ts';
import { revision } from '../../../protocol/ids.ts';
import type { CheckOperation } from '../../../protocol/operations/kv.ts';
import type { StringOp, StringOpResult } from '../../../protocol/operations/string-op.ts';
import type { Kind } from '../../../protocol/record.ts';
import { evaluateOp, type StringOpTarget } from '../../../shard-worker/core/operations/string-op.ts';
import { WriteSet } from '../../../shard-worker/core/state/write-set.ts';
import type { Limits } from '../../../shared/limits.ts';
import type { ScriptKey } from './script-messages.ts';

export class ScriptKeys implements StringOpTarget {
  readonly now: number;
  readonly writeSet = new WriteSet();
  readonly state: { readonly limits: Pick<Limits, 'value_bytes_max'> };
  readonly failed: never[] = [];
  opsBytes = 0;
  /** Why the script must end. */
  failure: Failure | undefined;
  readonly #keys: ReadonlyMap<string, ScriptKey>;

  constructor(keys: readonly ScriptKey[], now: number, limits: Pick<Limits, 'value_bytes_max'>) {
    this.#keys = new Map(keys.map((read) => [read.key, read]));
    this.now = now;
    this.state = { limits };
  }

  run(op: StringOp): StringOpResult {
    return evaluateOp(this, op);
  }

  /** Whether a condition holds, with what the script has written so far. */
  holds({ key, version, exists }: CheckOperation): boolean {
    if (version !== undefined) return (this.#keys.get(key)?.version ?? 0) === version;
    return (this.run({ kind: 'exists', key }) === ':1') === exists;
  }

  fail(failure: Failure): void {
    this.failure ??= failure;
  }

  entry(_kind: Kind, key: string): Entry | undefined {
    const read = this.#keys.get(key);
    if (read?.value === undefined) return undefined;
    const entry: Entry = { rev: revision(read.version), till: read.till, value: read.value };
    return hasLapsed(entry, this.now) ? undefined : entry;
  }

  /** What the script comes to, as operations. */
  effects(): StringOp[] {
    return this.writeSet.all().map(({ key, value, till }): StringOp => {
      if (value === undefined) return { kind: 'delete', key };
      return till === 0 ? { kind: 'set', key, value } : { kind: 'set', key, value, till: { kind: 'at', ms: till } };
    });
  }
}
