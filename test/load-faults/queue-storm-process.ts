/**
 * Producers and consumers of a queue storm, in a process that can be stopped or killed alone. It says what it sends
 * before it sends it, so that nothing is missing from the history of a process that was killed.
 */
import assert from 'node:assert/strict';
import { clockDifference, wallMs } from '../../src/shared/clock.ts';
import type { Operation } from '../support/checkers/history.ts';
import type { Body } from '../support/contract/expected.ts';
import { CrashClient } from '../support/crash-server.ts';
import { httpCall } from '../support/http-calls.ts';
import { HttpCommands } from '../support/http-commands.ts';
import { seededRandom } from '../support/seeded-random.ts';

export type ToQueueStorm =
  | { readonly kind: 'start'; readonly seed: number; readonly first: number; readonly clients: number }
  /** Empty: it is down. */
  | { readonly kind: 'server'; readonly url: string }
  | { readonly kind: 'end' };

export type FromQueueStorm =
  | { readonly kind: 'sent' | 'answered'; readonly operation: Operation }
  /** Some message is out, and its consumer has just been told. */
  | { readonly kind: 'holds' }
  | { readonly kind: 'ended' };

const wallAheadMs = clockDifference(wallMs, () => performance.now());
let url = '';
let served = Promise.withResolvers<void>();
let ended = false;

process.on('message', (message: ToQueueStorm) => {
  switch (message.kind) {
    case 'start': {
      const commands = new HttpCommands(seededRandom(message.seed * 1009 + message.first), { things: 4 });
      const clients = Array.from({ length: message.clients }, (_, i) => run(message.first + i, commands));
      void Promise.all(clients).then(async () => {
        await tell({ kind: 'ended' });
        process.disconnect?.();
      });
      return;
    }
    case 'server':
      url = message.url;
      served.resolve();
      served = Promise.withResolvers();
      return;
    case 'end':
      ended = true;
      served.resolve();
  }
});

async function run(client: number, commands: HttpCommands): Promise<void> {
  for (let n = 0; !ended; ) {
    if (url === '') {
      await served.promise;
      continue;
    }
    const connection = new CrashClient(url);
    for (let alive = true; alive && !ended; n += 1) alive = await ask(connection, commands, { client, n });
    await connection.close();
    // The server is gone, and the parent is about to say so.
    if (!ended) await served.promise;
  }
}

/** @returns whether it was answered */
async function ask(
  connection: CrashClient,
  commands: HttpCommands,
  { client, n }: { client: number; n: number },
): Promise<boolean> {
  const call = commands.nextOfQueues();
  const operation: Operation = { id: `${process.pid}-${client}-${n}`, client, call, sentAt: now() };
  await tell({ kind: 'sent', operation });
  const { method, target, body, headers } = httpCall(call);
  const answer = await connection.ask(method, target, body, headers);
  if (answer === undefined) return false;
  const said = answer.body as unknown as Body;
  commands.learn(call, said);
  const replayed = answer.replayed ? { replayed: true as const } : {};
  await tell({
    kind: 'answered',
    operation: { ...operation, answer: { at: now(), status: answer.status, body: said, ...replayed } },
  });
  if (call.kind === 'batch' && call.dequeue !== undefined) await tell({ kind: 'holds' });
  return true;
}

function now(): number {
  return wallAheadMs + performance.now();
}

function tell(message: FromQueueStorm): Promise<void> {
  return new Promise((sent, failed) => {
    assert(process.send !== undefined, 'it is a child with a channel');
    process.send(message, undefined, undefined, (error) => (error === null ? sent() : failed(error)));
  });
}
