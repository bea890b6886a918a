/**
 * `dragonlock batch`: sends the body of a `POST /db/:acc` from a file or stdin, and prints the server's reply, both in
 * the format of the HTTP API. The client makes the request repeatable, so that it can send it again after a lost reply.
 */
import { randomUUID } from 'node:crypto';
import type { Call } from '../client/pending-call.ts';
import type { Run } from './command-spec.ts';
import { UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { parseJson } from './parse.ts';
import { rawCalls } from './raw-calls.ts';

export const runBatch: Run = async (invocation, { options }) => {
  const file = String(options['file']);
  const text = readInput(file);
  const batch = parseJson(text, file === '-' ? 'stdin' : file);
  if (typeof batch !== 'object' || batch === null) {
    throw new UsageError(`${file}: expected an object or an array, got ${batch === null ? 'null' : typeof batch}`);
  }
  const calls = await rawCalls({ ...invocation.connection(), account: invocation.account() });
  try {
    const reply = await calls.call({ ...retryOptions(batch), body: () => text });
    invocation.terminal.json(reply);
  } finally {
    await calls.close();
  }
};

const reading = new Set(['KVGet', 'Check', 'Guard']);

/** Decides how a batch may be sent again: under an id of its own if it has no ids and takes no lock. */
function retryOptions(batch: object): Pick<Call, 'retry' | 'idempotencyKey' | 'waitMs'> {
  if (Array.isArray(batch)) return { retry: 'unsafe' };
  const { LockID, LockWait, IdempotencyIDs, IdempotencyMode } = batch as Readonly<Record<string, unknown>>;
  const waitMs = typeof LockWait === 'number' ? LockWait * 1000 : 0;
  if (Object.keys(batch).every((field) => reading.has(field))) return { retry: 'safe' };
  if (IdempotencyMode === 'replay') return { retry: 'idempotent', waitMs };
  if (IdempotencyIDs !== undefined || LockID !== undefined) return { retry: 'unsafe', waitMs };
  return { retry: 'idempotent', idempotencyKey: randomUUID() };
}
