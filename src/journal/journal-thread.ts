/**
 * The journal's own thread: for a server with several shards.
 *
 *   a message arrives ─► turn: drain every port ─► flush one frame ─► tell everybody ─► another turn if it wrote one
 *
 * What arrives while a frame is being synced is drained before the next one, and so shares its fdatasync. Turns follow
 * each other through the event loop, which lets the preparation of the spare segment go on beside them.
 * Nothing is caught here: an error ends the thread, and the main thread ends the process.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { assert, unreachable } from '../shared/assert.ts';
import { realDisk } from '../shared/disk.ts';
import { SharedRevisions } from '../protocol/revisions.ts';
import type { DurableMessage, FromMain, JournalThreadData, ToJournal, ToMain } from './journal-wire.ts';
import { roomCode } from './journal-wire.ts';
import { JournalWriter } from './journal-writer.ts';

const data: JournalThreadData = workerData;
const main = parentPort;
assert(main !== null, 'the journal thread is a worker');
const room = new Int32Array(data.room);
const writer = new JournalWriter(realDisk, data.directory, data.recovered, new SharedRevisions(data.revisions), {
  ...data.settings,
  log: (level, message, details) => toMain({ kind: 'log', level, message, ...(details && { details }) }),
  onRoom: (next) => Atomics.store(room, 0, roomCode(next)),
});
let turnScheduled = false;
let closed = false;

writer.onDurable((durable) => {
  const message: DurableMessage = { kind: 'durable', durable };
  for (const port of data.shardPorts) port.postMessage(message);
  for (const port of data.routerPorts) port.postMessage(message);
});

for (const port of data.shardPorts) {
  port.on('message', (message: ToJournal) => {
    if (closed) return;
    take(message);
    scheduleTurn();
  });
}

main.on('message', (message: FromMain) => {
  switch (message.kind) {
    case 'stats':
      return toMain({ kind: 'stats', id: message.id, stats: writer.stats() });
    case 'close':
      return close();
    default:
      return unreachable(message);
  }
});

function scheduleTurn(): void {
  if (turnScheduled) return;
  turnScheduled = true;
  setImmediate(turn);
}

function turn(): void {
  turnScheduled = false;
  if (closed) return;
  drain();
  if (writer.flush()) scheduleTurn();
}

function drain(): void {
  for (const port of data.shardPorts) {
    for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
      const message: ToJournal = received.message;
      take(message);
    }
  }
}

function take(message: ToJournal): void {
  switch (message.kind) {
    case 'append':
      return writer.enqueue(message, true);
    case 'checkpointed':
      return writer.checkpointed(message.shard, message.watermark);
    default:
      return unreachable(message);
  }
}

/** Shards have stopped by now: writes what they sent, and lets the thread end. */
function close(): void {
  drain();
  while (writer.flush());
  closed = true;
  for (const port of data.shardPorts) port.close();
  for (const port of data.routerPorts) port.close();
  void writer.close().then(() => {
    toMain({ kind: 'closed' });
    main?.close();
  });
}

function toMain(message: ToMain): void {
  main?.postMessage(message, []);
}
