/**
 * The whole server in this thread behind a real HTTP port: routers, shards and journal on a disk in memory, and a clock
 * that stands still, so that replies can be predicted to the last digit.
 */
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { buildApp, type AppOptions } from '../../src/front-end/http/app.ts';
import { allocateSharedCounters } from '../../src/front-end/shared-counters.ts';
import { loadConfig } from '../../src/main/config/config.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { startOfTime } from './core-under-test.ts';
import { FaultDisk } from './fault-disk.ts';
import { startInProcess, type InProcess } from './in-process.ts';
import { withLaneSwitch } from './lane-switch.ts';
import { MemoryCheckpointStore } from './memory-checkpoint-store.ts';

export interface DoorInProcess {
  readonly app: FastifyInstance;
  readonly server: InProcess;
  readonly port: number;
  close(): Promise<void>;
}

export async function openDoor(
  t: TestContext,
  shards: number,
  yaml = '',
  more: Pick<AppOptions, 'scriptPool'> = {},
): Promise<DoorInProcess> {
  const config = loadConfig({ argv: [], env: {}, cores: 1, readFile: () => withLaneSwitch(yaml) });
  const server = await startInProcess({
    shards,
    limits: config.limits,
    segmentBytes: 8 * 1024 * 1024,
    disk: new FaultDisk(1),
    journalDirectory: '/data/journal',
    checkpoints: Array.from({ length: shards }, () => new MemoryCheckpointStore()),
    clock: { now: () => startOfTime },
    defer: setImmediate,
    after: systemAfter,
    randomBytes: (count) => Buffer.alloc(count, 7),
    log: () => {},
  });
  const app = buildApp({
    config,
    index: 0,
    counters: allocateSharedCounters(config),
    dispatcher: server.router,
    boot: 'boot7',
    version: '1.2.3',
    log: { error: (details) => t.diagnostic(JSON.stringify(details)), warn: () => {} },
    lifecycle: { state: () => 'serving', onceStarted: () => () => {} },
    ...more,
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    app.server.closeAllConnections();
    await app.close();
    await server.stop();
  };
  const door = {
    app,
    server,
    port: (app.server.address() as AddressInfo).port,
    close: () => (closed ??= close()),
  };
  t.after(door.close);
  return door;
}
