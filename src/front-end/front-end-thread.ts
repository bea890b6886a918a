/**
 * A further front end (`http.threads` > 1): like the first, but in a thread of its own, on the same port.
 *
 *   ready ─► "listen" ─► listening (503) ─► "serve" ─► serving ─► "drain" ─► drained ─► "close"
 *
 * Quoted are the messages from the main thread; the others are the steps that the thread reports.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { JournalStats } from '../protocol/stats.ts';
import { assert, unreachable } from '../shared/assert.ts';
import { postLog } from '../shared/thread-log.ts';
import type { Listen } from './listen.ts';
import { FrontEnd, type Backend, type FrontEndOptions } from './front-end.ts';

export type FrontEndThreadData = Omit<FrontEndOptions, 'log'>;

export type FrontEndFromMain =
  | { readonly kind: 'listen'; readonly http: readonly Listen[]; readonly resp: Listen | undefined }
  | { readonly kind: 'serve'; readonly backend: Omit<Backend, 'journalStats'> }
  | { readonly kind: 'drain' }
  | { readonly kind: 'close' }
  | { readonly kind: 'journal-stats'; readonly id: number; readonly stats: JournalStats };

/** A step of a front end's life; each comes once. */
export type FrontEndStep = 'ready' | 'listening' | 'serving' | 'drained';

export type FrontEndToMain =
  | { readonly kind: FrontEndStep }
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
    warn: (details, message) =>
      postLog(main, { kind: 'log', level: 'warn', message, details } satisfies FrontEndToMain),
    error: (details, message) =>
      postLog(main, { kind: 'log', level: 'error', message, details } satisfies FrontEndToMain),
  },
});

// A rejection in here ends the thread, and with it the process.
main.on('message', (message: FrontEndFromMain) => {
  switch (message.kind) {
    case 'listen':
      return void listen(message.http, message.resp).then(() => toMain({ kind: 'listening' }));
    case 'serve':
      frontEnd.serve({ ...message.backend, journalStats });
      return toMain({ kind: 'serving' });
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
await frontEnd.ready();
toMain({ kind: 'ready' });

async function listen(http: readonly Listen[], resp: Listen | undefined): Promise<void> {
  for (const where of http) await frontEnd.listen(where);
  if (resp !== undefined) await frontEnd.listenForRedis(resp);
}

function journalStats(): Promise<JournalStats> {
  return new Promise((resolve) => {
    ids += 1;
    asked.set(ids, resolve);
    toMain({ kind: 'journal-stats', id: ids });
  });
}

function toMain(message: FrontEndToMain): void {
  main.postMessage(message);
}
