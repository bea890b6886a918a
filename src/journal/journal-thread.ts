/** The journal's own thread, for a server with several shards: feeds a `JournalActor` from the ports of the others. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { assert, unreachable } from '../shared/assert.ts';
import { systemClock } from '../shared/clock.ts';
import { diskWithReserve } from '../shared/reserved-disk.ts';
import { postLog } from '../shared/thread-log.ts';
import { SharedRevisions } from '../protocol/wire/revisions.ts';
import { JournalActor } from './journal-actor.ts';
import {
  type DurableMessage,
  type JournalFromMain,
  type JournalThreadData,
  type JournalFromShard,
  type JournalToMain,
  spaceCode,
} from './journal-wire.ts';
import { JournalWriter } from './file/journal-writer.ts';

const data: JournalThreadData = workerData;
const main = parentPort;
assert(main !== null, 'the journal thread is a worker');
const space = new Int32Array(data.space);
const revisions = new SharedRevisions(data.revisions);
const writer = new JournalWriter(diskWithReserve(data.directory), data.directory, {
  recovered: data.recovered,
  revisions,
  ...data.settings,
  clock: systemClock(data.clock),
  log: (level, message, details) =>
    postLog(main, { kind: 'log', level, message, ...(details && { details }) } satisfies JournalToMain),
  onSpace: (next) => Atomics.store(space, 0, spaceCode(next)),
});
const actor = new JournalActor({
  writer,
  receive: data.shardPorts.map((port) => () => receiveMessageOnPort(port)?.message as JournalFromShard | undefined),
  durable: () => revisions.durable(),
  tellRouters: (durable) => {
    data.routerPorts.forEach((port, router) => {
      if (revisions.awaits(router)) port.postMessage({ kind: 'durable', durable } satisfies DurableMessage);
    });
  },
  tellShard: (shard, durable) => {
    data.shardPorts[shard]!.postMessage({ kind: 'durable', durable } satisfies DurableMessage);
  },
  defer: setImmediate,
});

data.shardPorts.forEach((port, shard) => port.on('message', (message: JournalFromShard) => actor.take(shard, message)));

main.on('message', (message: JournalFromMain) => {
  switch (message.kind) {
    case 'journal-stats':
      return toMain({ kind: 'journal-stats', id: message.id, stats: writer.stats() });
    case 'ping':
      return toMain({ kind: 'pong', id: message.id });
    case 'close':
      return close();
    default:
      return unreachable(message);
  }
});

/** Writes what the shards have sent, then lets the thread end. */
function close(): void {
  actor.close();
  for (const port of data.shardPorts) port.close();
  for (const port of data.routerPorts) port.close();
  void writer.close().then(() => main?.close());
}

function toMain(message: JournalToMain): void {
  main?.postMessage(message, []);
}
