/**
 * Up to ten thousand long polls in a process of their own. It opens them all and says so; on "write" it sends the writes
 * itself, so that one clock measures from there to the last answer. Each answer must be exactly the change.
 */
import { HttpConnection } from './http-connection.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import type { HttpReply, Target } from './types.ts';

export interface WatchOrder {
  readonly target: Target;
  readonly account: string;
  /** Each has as many watchers, and is written once. */
  readonly keys: readonly WatchedKey[];
  readonly watchersPerKey: number;
  /** By key: a watch on the key itself. By prefix: on everything that begins with it, `After` the given revision. */
  readonly by: 'key' | 'prefix';
  /** Before each write: a network that is not there. */
  readonly latencyMs: number;
  /** JSON text. */
  readonly value: string;
}

export interface WatchedKey {
  readonly key: string;
  readonly version: number;
}

/** Milliseconds from the write of a key to … */
export interface Reaction {
  readonly writeMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

export type FromWatchers =
  | { readonly kind: 'sent' }
  /** `totalMs`: from the first write to the last answer of all. */
  | {
      readonly kind: 'done';
      readonly reactions: readonly Reaction[];
      readonly totalMs: number;
      readonly cpuMicros: number;
    }
  | { readonly kind: 'failed'; readonly message: string };

/** Connections that are being opened at once; more would overflow the server's queue of them. */
const openingAtOnce = 200;
/** As many clients write at once as there are in the rest of the table. */
const writersMax = 400;
const waitSeconds = 120;

interface Watched extends WatchedKey {
  readonly replies: HttpReply[];
  /** Before the delay. */
  startedAt: number;
  writtenAt: number;
  firstAt: number;
  lastAt: number;
  revision: number;
}

process.once('message', (order: WatchOrder) => void run(order));

async function run(order: WatchOrder): Promise<void> {
  const { target, account, watchersPerKey, by } = order;
  const connections = await open(target, order.keys.length * watchersPerKey);
  const writers = await open(target, Math.min(writersMax, order.keys.length));
  const watched: Watched[] = order.keys.map((key) => ({
    ...key,
    replies: [],
    startedAt: 0,
    writtenAt: 0,
    firstAt: 0,
    lastAt: 0,
    revision: 0,
  }));
  let unfinished = watched.length;
  let cpu = process.cpuUsage();

  const finishOne = (one: Watched): void => {
    if (one.replies.length < watchersPerKey || one.writtenAt === 0) return;
    unfinished -= 1;
    if (unfinished > 0) return;
    const { user, system } = process.cpuUsage(cpu);
    for (const each of watched) {
      const wrong = firstWrong(each, order);
      if (wrong !== undefined) return fail(new Error(wrong));
    }
    const totalMs =
      Math.max(...watched.map(({ lastAt }) => lastAt)) - Math.min(...watched.map(({ startedAt }) => startedAt));
    const reactions = watched.map(({ startedAt, writtenAt, firstAt, lastAt }) => ({
      writeMs: writtenAt - startedAt,
      firstMs: firstAt - startedAt,
      lastMs: lastAt - startedAt,
    }));
    tellLast({ kind: 'done', reactions, totalMs, cpuMicros: user + system });
  };

  connections.forEach((connection, index) => {
    const one = watched[Math.floor(index / watchersPerKey)]!;
    const ask =
      by === 'key'
        ? { ID: one.key, Version: one.version, Wait: waitSeconds }
        : { Prefix: one.key, After: one.version, Wait: waitSeconds };
    connection.send({ path: `/watch/${account}`, body: JSON.stringify(ask) }, (reply) => {
      if (one.startedAt === 0)
        return fail(new Error(`A watcher was answered before the write: ${reply.status} ${reply.body}`));
      one.lastAt = performance.now();
      if (one.replies.length === 0) one.firstAt = one.lastAt;
      one.replies.push(reply);
      finishOne(one);
    });
  });
  tellParent({ kind: 'sent' } satisfies FromWatchers);

  process.once('message', () => {
    cpu = process.cpuUsage();
    let next = 0;
    const write = (writer: HttpConnection): void => {
      const one = watched[next++];
      if (one === undefined) return;
      one.startedAt = performance.now();
      const body = `{"KVSet":[{"Key":"${one.key}","Value":${order.value}}]}`;
      const send = (): void =>
        writer.send({ path: `/db/${account}`, body }, (reply) => {
          if (reply.status !== 200) return fail(new Error(`The write was answered ${reply.status}: ${reply.body}`));
          one.revision = (JSON.parse(reply.body) as { Rev: number }).Rev;
          one.writtenAt = performance.now();
          finishOne(one);
          write(writer);
        });
      if (order.latencyMs === 0) send();
      else setTimeout(send, order.latencyMs);
    };
    for (const writer of writers) write(writer);
  });
}

async function open(target: Target, count: number): Promise<HttpConnection[]> {
  const connections: HttpConnection[] = [];
  while (connections.length < count) {
    const more = Math.min(openingAtOnce, count - connections.length);
    connections.push(...(await Promise.all(Array.from({ length: more }, () => HttpConnection.open(target, fail)))));
  }
  return connections;
}

/** @returns what is wrong with the first answer that is not the change. */
function firstWrong({ replies, key, revision }: Watched, { by, value }: WatchOrder): string | undefined {
  const wanted = { Key: key, Version: revision, Value: JSON.parse(value) as unknown };
  for (const { status, body } of replies) {
    const reply = status === 200 ? (JSON.parse(body) as typeof wanted & { Events?: (typeof wanted)[] }) : undefined;
    const got = by === 'key' ? reply : reply?.Events?.[0];
    const right = got?.Key === wanted.Key && got.Version === wanted.Version && got.Value === wanted.Value;
    if (!right) return `A watcher was answered ${status} ${body}; wanted ${JSON.stringify(wanted)}`;
  }
  return undefined;
}

const tellLast: (message: FromWatchers, code?: number) => void = tellParentAndExit;

function fail(error: Error): void {
  tellLast({ kind: 'failed', message: error.message }, 1);
}
