/**
 * A process with up to ten thousand long polls. It gets a `WatchSpec`, opens all polls and sends "sent". On "write" it
 * sends the writes itself, so that one clock measures from the write to the last answer. Each answer must be exactly
 * the change.
 */
import { HttpConnection } from './http-connection.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import type { HttpReply, Target } from './types.ts';

export interface WatchSpec {
  readonly target: Target;
  readonly account: string;
  /** Each key has `watchersPerKey` watchers and is written once. */
  readonly keys: readonly WatchedKey[];
  readonly watchersPerKey: number;
  /** 'key': a watch on the key itself. 'prefix': on all keys that begin with it, `After` the given revision. */
  readonly by: 'key' | 'prefix';
  /** Delay before each write, which simulates a network. */
  readonly latencyMs: number;
  /** JSON text. */
  readonly value: string;
}

export interface WatchedKey {
  readonly key: string;
  readonly version: number;
}

/** Milliseconds from the start of a key's write to its answer, and to the first and last watcher's answer. */
export interface Reaction {
  readonly writeMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

export type WatchersMessage =
  | { readonly kind: 'sent' }
  /** `totalMs`: from the first write to the last answer of all. */
  | {
      readonly kind: 'done';
      readonly reactions: readonly Reaction[];
      readonly totalMs: number;
      readonly cpuMicros: number;
    }
  | { readonly kind: 'failed'; readonly message: string };

/** Connections opened at once; more would overflow the server's listen backlog. */
const openingAtOnce = 200;
/** Clients that write at once, as many as in the other rows of the original table. */
const writersMax = 400;
const waitSeconds = 120;

interface Watched extends WatchedKey {
  readonly replies: HttpReply[];
  /** Time before the delay. */
  startedAt: number;
  writtenAt: number;
  firstAt: number;
  lastAt: number;
  revision: number;
}

process.once('message', (spec: WatchSpec) => void run(spec));

async function run(spec: WatchSpec): Promise<void> {
  const { target, account, watchersPerKey, by } = spec;
  const connections = await open(target, spec.keys.length * watchersPerKey);
  const writers = await open(target, Math.min(writersMax, spec.keys.length));
  const watched: Watched[] = spec.keys.map((key) => ({
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
      const wrong = findWrongAnswer(each, spec);
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
    const watch =
      by === 'key'
        ? { ID: one.key, Version: one.version, Wait: waitSeconds }
        : { Prefix: one.key, After: one.version, Wait: waitSeconds };
    connection.send({ path: `/watch/${account}`, body: JSON.stringify(watch) }, (reply) => {
      if (one.startedAt === 0)
        return fail(new Error(`A watcher was answered before the write: ${reply.status} ${reply.body}`));
      one.lastAt = performance.now();
      if (one.replies.length === 0) one.firstAt = one.lastAt;
      one.replies.push(reply);
      finishOne(one);
    });
  });
  tellParent({ kind: 'sent' } satisfies WatchersMessage);

  process.once('message', () => {
    cpu = process.cpuUsage();
    let next = 0;
    const write = (writer: HttpConnection): void => {
      const one = watched[next++];
      if (one === undefined) return;
      one.startedAt = performance.now();
      const body = `{"KVSet":[{"Key":"${one.key}","Value":${spec.value}}]}`;
      const send = (): void =>
        writer.send({ path: `/db/${account}`, body }, (reply) => {
          if (reply.status !== 200) return fail(new Error(`The write was answered ${reply.status}: ${reply.body}`));
          one.revision = (JSON.parse(reply.body) as { Rev: number }).Rev;
          one.writtenAt = performance.now();
          finishOne(one);
          write(writer);
        });
      if (spec.latencyMs === 0) send();
      else setTimeout(send, spec.latencyMs);
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

/** Describes the first answer that is not the change. */
function findWrongAnswer({ replies, key, revision }: Watched, { by, value }: WatchSpec): string | undefined {
  const expected = { Key: key, Version: revision, Value: JSON.parse(value) as unknown };
  for (const { status, body } of replies) {
    const reply = status === 200 ? (JSON.parse(body) as typeof expected & { Events?: (typeof expected)[] }) : undefined;
    const got = by === 'key' ? reply : reply?.Events?.[0];
    const right = got?.Key === expected.Key && got.Version === expected.Version && got.Value === expected.Value;
    if (!right) return `A watcher was answered ${status} ${body}; expected ${JSON.stringify(expected)}`;
  }
  return undefined;
}

const tellLast: (message: WatchersMessage, code?: number) => void = tellParentAndExit;

function fail(error: Error): void {
  tellLast({ kind: 'failed', message: error.message }, 1);
}
