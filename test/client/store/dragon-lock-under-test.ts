/**
 * A Dragon Lock server in this process with a real port, on a disk in memory and in virtual time, and clients of it.
 * Time stands still while a request is in flight, unless the request waits in the server.
 */
import type { AddressInfo } from 'node:net';
import { DragonLock } from '../../../src/client/dragon-lock.ts';
import { HttpTransport, TransportError, type Transport, type WireRequest } from '../../../src/client/transport.ts';
import { buildApp } from '../../../src/front-end/http/app.ts';
import { loadConfig } from '../../../src/main/config/config.ts';
import { allocateSharedCounters } from '../../../src/front-end/shared-counters.ts';
import { startInProcess } from '../../support/in-process.ts';
import { MemoryCheckpointStore } from '../../support/memory-checkpoint-store.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface DragonLockUnderTest {
  /** Makes a client of another machine. If `loses` is true for a request, it is carried out and its reply is lost. */
  client(account: string, loses?: (request: WireRequest) => boolean): DragonLock;
  close(): Promise<void>;
}

export async function startDragonLock(time: VirtualTime): Promise<DragonLockUnderTest> {
  const config = loadConfig({ argv: [], env: {}, cores: 1, readFile: () => '' });
  const server = await startInProcess({
    shards: 1,
    limits: config.limits,
    disk: new FaultDisk(1),
    journalDirectory: '/data/journal',
    segmentBytes: 1 << 20,
    checkpoints: [new MemoryCheckpointStore()],
    clock: { now: () => Math.floor(time.epochMs + time.nowMs) },
    defer: setImmediate,
    after: (delayMs, run) => time.after(delayMs, run),
    randomBytes: (count) => Buffer.alloc(count, 7),
    log: () => {},
  });
  const app = buildApp({
    config,
    dispatcher: server.router,
    index: 0,
    counters: allocateSharedCounters(config),
    boot: 'boot1',
    version: '0.1.0',
    log: { error: () => {}, warn: () => {} },
    lifecycle: { state: () => 'serving', onceStarted: () => () => undefined },
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const clients = new Set<DragonLock>();
  return {
    client(account, loses = () => false) {
      const client = new DragonLock(
        { url, account },
        { clock: time.clock(), transport: (settings) => timeless(lossy(new HttpTransport(settings), loses), time) },
      );
      clients.add(client);
      return client;
    },
    async close() {
      await Promise.all([...clients].map((client) => client.close()));
      app.server.closeAllConnections();
      await app.close();
    },
  };
}

function timeless(transport: Transport, time: VirtualTime): Transport {
  return {
    send: (request) => (request.waits ? transport.send(request) : time.during(() => transport.send(request))),
    close: () => transport.close(),
  };
}

function lossy(transport: Transport, loses: (request: WireRequest) => boolean): Transport {
  return {
    async send(request) {
      const reply = await transport.send(request);
      if (loses(request)) throw new TransportError(new Error('the connection broke'), true, false);
      return reply;
    },
    close: () => transport.close(),
  };
}
