/** A further front end (`http.threads` > 1): the same as the first, in a thread of its own, on the same port. */
import { parentPort, workerData } from 'node:worker_threads';
import type { JournalStats } from '../protocol/stats.ts';
import { assert, unreachable } from '../shared/assert.ts';
import type { Config } from './config-schema.ts';
import { FrontEnd } from './front-end.ts';
import type { FrontEndPorts } from './threads.ts';

export interface FrontEndThreadData {
  readonly index: number;
  readonly config: Config;
  readonly boot: string;
  readonly version: string;
  readonly ports: FrontEndPorts;
  readonly revisions: SharedArrayBuffer;
  readonly journalDirectory: string;
}

export type FrontEndFromMain =
  | { readonly kind: 'drain' }
  | { readonly kind: 'close' }
  | { readonly kind: 'journal-stats'; readonly id: number; readonly stats: JournalStats };

export type FrontEndToMain =
  | { readonly kind: 'serving' }
  | { readonly kind: 'drained' }
  | { readonly kind: 'journal-stats'; readonly id: number }
  | { readonly kind: 'log'; readonly level: 'warn' | 'error'; readonly message: string; readonly details: object };

const data = workerData as FrontEndThreadData;
assert(parentPort !== null, 'a front end of its own runs in a worker');
const main = parentPort;
const asked = new Map<number, (stats: JournalStats) => void>();
let ids = 0;

const frontEnd = new FrontEnd({
  ...data,
  log: {
    warn: (details, message) => toMain({ kind: 'log', level: 'warn', message, details }),
    error: (details, message) => toMain({ kind: 'log', level: 'error', message, details }),
  },
});
frontEnd.serve({
  ...data,
  journalStats: () =>
    new Promise((resolve) => {
      ids += 1;
      asked.set(ids, resolve);
      toMain({ kind: 'journal-stats', id: ids });
    }),
});
main.on('message', (message: FrontEndFromMain) => {
  switch (message.kind) {
    case 'drain':
      return void frontEnd.drain().then(() => toMain({ kind: 'drained' }));
    case 'close':
      return void frontEnd.close().then(() => process.exit());
    case 'journal-stats':
      asked.get(message.id)?.(message.stats);
      return void asked.delete(message.id);
    default:
      return unreachable(message);
  }
});
await frontEnd.listen();
toMain({ kind: 'serving' });

function toMain(message: FrontEndToMain): void {
  main.postMessage(message);
}
