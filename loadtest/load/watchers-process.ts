/**
 * Ten thousand long polls in a process of their own. It opens them all, says so, and on "write" sends the write itself,
 * so that one clock measures from there to the last answer. Each answer must be exactly the change.
 */
import { HttpConnection, type HttpReply } from './http-connection.ts';
import { tellParent, tellParentAndExit } from './parent.ts';

export interface WatchOrder {
  readonly port: number;
  readonly path: string;
  readonly writePath: string;
  readonly key: string;
  readonly version: number;
  readonly watchers: number;
}

/** The write that wakes them; `value` is JSON text. */
export interface WriteOrder {
  readonly value: string;
}

export type FromWatchers =
  | { readonly kind: 'sent' }
  | { readonly kind: 'done'; readonly writeMs: number; readonly firstMs: number; readonly lastMs: number }
  | { readonly kind: 'failed'; readonly message: string };

/** Connections that are being opened at once; more would overflow the server's queue of them. */
const openingAtOnce = 200;
const waitSeconds = 120;

process.once('message', (order: WatchOrder) => void run(order));

async function run(order: WatchOrder): Promise<void> {
  const { port, path, writePath, key, version, watchers } = order;
  const connections: HttpConnection[] = [];
  while (connections.length < watchers) {
    const count = Math.min(openingAtOnce, watchers - connections.length);
    connections.push(...(await Promise.all(Array.from({ length: count }, () => HttpConnection.open(port, fail)))));
  }
  const writer = await HttpConnection.open(port, fail);
  const replies: HttpReply[] = [];
  let startedAt = 0;
  let firstMs = 0;
  let lastMs = 0;
  let written: { rev: number; ms: number; value: string } | undefined;

  const finish = (): void => {
    if (replies.length < watchers || written === undefined) return;
    const wanted = { Key: key, Version: written.rev, Value: JSON.parse(written.value) as unknown };
    for (const { status, body } of replies) {
      const got = status === 200 ? (JSON.parse(body) as typeof wanted) : undefined;
      if (got?.Key !== wanted.Key || got.Version !== wanted.Version || got.Value !== wanted.Value)
        return fail(new Error(`A watcher was answered ${status} ${body}; wanted ${JSON.stringify(wanted)}`));
    }
    tellLast({ kind: 'done', writeMs: written.ms, firstMs, lastMs });
  };

  const ask = JSON.stringify({ ID: key, Version: version, Wait: waitSeconds });
  for (const connection of connections) {
    connection.post(path, ask, (reply) => {
      if (startedAt === 0)
        return fail(new Error(`A watcher was answered before the write: ${reply.status} ${reply.body}`));
      lastMs = performance.now() - startedAt;
      if (replies.length === 0) firstMs = lastMs;
      replies.push(reply);
      finish();
    });
  }
  tellParent({ kind: 'sent' } satisfies FromWatchers);

  process.once('message', ({ value }: WriteOrder) => {
    startedAt = performance.now();
    writer.post(writePath, `{"KVSet":[{"Key":"${key}","Value":${value}}]}`, ({ status, body }) => {
      if (status !== 200) return fail(new Error(`The write was answered ${status}: ${body}`));
      written = { rev: (JSON.parse(body) as { Rev: number }).Rev, ms: performance.now() - startedAt, value };
      finish();
    });
  });
}

const tellLast: (message: FromWatchers, code?: number) => void = tellParentAndExit;

function fail(error: Error): void {
  tellLast({ kind: 'failed', message: error.message }, 1);
}
