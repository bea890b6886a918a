/**
 * Clients that send requests and do not read. The server holds a bounded part of their replies for a bounded time, and
 * clients that read are not slowed down.
 */
import assert from 'node:assert/strict';
import { trial } from '../support/crash-trial.ts';
import { closeAll, openMany, requestBytes, type RawConnection } from '../support/raw-connection.ts';
import { eventually } from '../support/server-under-test.ts';
import { FastClients } from './fast-clients.ts';
import { Memory, mib, openFiles } from './memory.ts';
import { sized, tooFewFiles } from './scale.ts';

const readers = sized(20, 1000);
const windowMs = sized(400, 2000);
const rounds = 4;
const skip = tooFewFiles(readers);

trial(
  `${readers} event streams that are not read are cut off; memory stays flat, and others are served as before`,
  import.meta.url,
  async ({ t, server, seed }) => {
    await server.start({ shards: 1, config: [`limits: { stream_buffer_bytes_max: ${mib / 4} }`] });
    const writer = server.client();
    const memory = new Memory(server.pid);
    const streamsOpen = async (): Promise<number> => {
      const answer = await writer.ask('GET', '/metrics');
      return Number(/^dragonlock_streams\S* (\d+)$/m.exec(answer?.text ?? '')?.[1] ?? Number.NaN);
    };
    const open = async (): Promise<RawConnection[]> => {
      const streams = await openMany(server.port, readers, { deaf: true });
      for (const { socket } of streams) socket.write(requestBytes('GET', '/watch/slow?prefix=s'));
      await eventually('all streams are open', async () => (await streamsOpen()) === readers, 60_000);
      return streams;
    };
    const value = 'x'.repeat(400 * 1024);
    let cutOff = 0;
    for (let round = 0; round < rounds; round += 1) {
      const streams = await open();
      // Each reply fills the kernel's buffers and the limit, and then stops.
      for (let n = 0, left = readers; left > 0; n += 1) {
        assert(n < 60, `${left} streams are open after ${n} changes that nobody reads`);
        await writer.must('POST', '/db/slow/kv/s', value);
        left = await streamsOpen();
      }
      cutOff += readers;
      assert.equal((await writer.ask('GET', '/livez'))?.status, 200);
      await closeAll(streams);
      await memory.level();
    }
    // Not earlier: their connections would be idle for longer than the server keeps them.
    const fast = await FastClients.start(server.port);
    let streams: RawConnection[] = [];
    const verdict = await fast.compare(
      {
        // From now on nothing is read.
        apply: async () => {
          streams = await open();
          for (let n = 0; n < 4; n += 1) await writer.must('POST', '/db/slow/kv/s', 'x'.repeat(64 * 1024));
        },
        lift: () => closeAll(streams),
      },
      windowMs,
    );
    const figures = { seed, cutOff, readers, rounds, ...verdict };
    t.diagnostic(JSON.stringify({ ...figures, levelsMib: memory.levelsMib, peakMib: memory.peakMib }));
    memory.assertFlat(64);
    assert(cutOff > 0, 'streams were cut off');
    await fast.close();
    await writer.close();
    await server.stop();
  },
  { skip },
);

trial(
  `${readers} clients that do not read their large replies are disconnected; memory stays flat, and others are served as before`,
  import.meta.url,
  async ({ t, server, seed }) => {
    const unreadMib = sized(32, 128);
    /** As many clients as may leave their replies, about 4 MB each, in the server's memory. */
    const stayers = sized(6, 24);
    const writeTimeoutMs = sized(1500, 15_000);
    const limits = `limits: { unread_bytes_max: ${unreadMib * mib} }`;
    await server.start({ shards: 1, config: [limits, `http: { write_timeout_ms: ${writeTimeoutMs} }`] });
    const client = server.client();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    for (const key of keys) await client.must('POST', `/db/slow/kv/${key}`, 'x'.repeat(900 * 1024));
    const own = openFiles(server.pid);
    const memory = new Memory(server.pid);
    /** Successful large reads, as the server counts them. */
    const largeReads = async (): Promise<number> => {
      const answer = await client.ask('GET', '/metrics');
      const count = /^dragonlock_requests_total\{operation="kv_list",status="200"\} (\d+)$/m.exec(
        answer?.text ?? '',
      )?.[1];
      return Number(count ?? 0);
    };
    let disconnected = 0;
    for (let round = 0; round < rounds; round += 1) {
      const deaf = await openMany(server.port, readers, { deaf: true });
      for (const { socket } of deaf) socket.write(requestBytes('POST', '/db/slow', { KVGet: keys }));
      assert.equal((await client.ask('GET', '/livez'))?.status, 200);
      // Over the limit at once, within it by the timeout.
      await eventually('they are disconnected', async () => openFiles(server.pid) <= own, 120_000);
      disconnected += readers;
      await closeAll(deaf);
      await memory.level();
    }
    // Compares the time in which they do not read and the server holds as much as it may. Serving their large reads is
    // not compared: that is work as for any client.
    // Not earlier, as above.
    const fast = await FastClients.start(server.port);
    let deaf: RawConnection[] = [];
    const verdict = await fast.compare(
      {
        apply: async () => {
          const before = await largeReads();
          deaf = await openMany(server.port, stayers, { deaf: true });
          for (const { socket } of deaf) socket.write(requestBytes('GET', '/db/slow/kv?prefix='));
          const answered = async (): Promise<boolean> => (await largeReads()) >= before + stayers;
          await eventually('their replies have been written', answered, 60_000);
        },
        lift: () => closeAll(deaf),
      },
      windowMs,
    );
    const figures = { seed, disconnected, readers, rounds, stayers, ...verdict };
    t.diagnostic(JSON.stringify({ ...figures, levelsMib: memory.levelsMib, peakMib: memory.peakMib }));
    memory.assertFlat(96);
    assert(disconnected > 0, 'clients were disconnected');
    await fast.close();
    await client.close();
    await server.stop();
  },
  { skip },
);
