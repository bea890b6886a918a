/** What operations of Redis may or must have written, told by their results. */
import type { StringOp } from '../../../src/protocol/operations/string-op.ts';

const reads: ReadonlySet<string> = new Set(['get', 'range', 'length', 'exists', 'ttl', 'version', 'getBit']);

export function mayWrite({ kind }: StringOp): boolean {
  return !reads.has(kind);
}

/** Whether there is a commit: something was written, and nothing behind it can have taken it away. */
export function surelyWrites(ops: readonly StringOp[], results: readonly string[]): boolean {
  return ops.some(
    (op, i) => leaves(op, results[i]) && !ops.some((later, j) => j > i && later.key === op.key && mayErase(later)),
  );
}

/** Whether the key has a new version of its value after it. */
function leaves(op: StringOp, result: string | undefined): boolean {
  // A checker is also given answers that no server gives.
  if (result === undefined || result.startsWith('!')) return false;
  switch (op.kind) {
    case 'set':
      return !mayErase(op) && (op.condition === undefined || (op.old === undefined && result === ''));
    case 'expire':
      return !mayErase(op) && result === ':1';
    case 'persist':
      return result === ':1';
    case 'append':
    case 'setRange':
      return op.value !== '""';
    case 'add':
    case 'addFloat':
      return true;
    default:
      return false;
  }
}

/** Whether the key may be gone after it. */
export function mayErase(op: StringOp): boolean {
  if (op.kind === 'delete') return true;
  if (op.kind !== 'set' && op.kind !== 'expire') return false;
  return op.till !== undefined && 'ms' in op.till && (op.till.kind !== 'in' || op.till.ms <= 0);
}
