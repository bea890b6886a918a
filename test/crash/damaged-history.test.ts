/**
 * Damages history under a running server: segments that only readers of watches read. Readers that come to the place
 * are told where to go on; the log says once where it is, however often clients come back; and all else is served.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { frameMagic } from '../../src/journal/file/frame.ts';
import type { CrashClient, CrashServer, LogLine } from '../support/crash-server.ts';
import { trial } from '../support/crash-trial.ts';
import { StreamReader } from '../support/stream-reader.ts';

const db = '/db/acc';
const headerBytes = 512;

trial(
  'history that is damaged while the server runs ends its readers, is logged once, and the server lives',
  import.meta.url,
  async ({ server, random }) => {
    await server.start({ shards: 2, threads: 2 });
    const { pid } = server;
    const client = server.client();
    const revs: number[] = [];
    for (let key = 0; key < 36; key += 1) {
      revs.push(await put(client, `k${key}`, 400_000));
    }
    const segments = segmentsOf(server);
    assert(segments.length >= 4, `there are ${segments.length} segments`);

    // A bit of a frame in the second segment.
    const file = segments[1]!;
    const places = framesIn(fs.readFileSync(file));
    const place = places[1 + random.below(places.length - 2)]!;
    flip(file, place.start + 60 + random.below(1000));
    const first = place.first;
    const after = revs[0]!;
    for (let poll = 0; poll < 25; poll += 1) {
      const other = server.client();
      const answer = await pollUntilRefused(other, poll === 0 ? after : first - 2);
      assert.deepEqual([answer.status, answer.body.Code], [410, 'compacted'], answer.text);
      assert(answer.body.Oldest >= first && answer.body.Oldest < revs.at(-1)!, answer.text);
      // Where it is told to go on, it can.
      const rest = await other.must('POST', '/watch/acc', { Prefix: '', After: answer.body.Oldest });
      assert.equal(rest.Events[0]!.Rev, answer.body.Oldest + 1);
      await other.close();
    }
    const stream = await StreamReader.open(`${server.url}/watch/acc?after=${first - 1}`);
    // On a busy machine its head leaves before it has come to the place; then the stream ends with the failure.
    if (stream.response.statusCode === 200) assert.equal((await stream.next())?.event, 'failure');
    else assert.equal(stream.response.statusCode, 410);
    stream.close();

    const told = damageLines(server);
    assert.equal(told.length, 1, `one line for one place\n${server.said()}`);
    assert.partialDeepStrictEqual(told[0], { file: path.basename(file), offset: place.start, first });
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(metrics, /^dragonlock_history_damaged_places_total 1$/m);
    assert.match(metrics, /^dragonlock_history_damaged_reads_total 26$/m);
    assert.match(metrics, new RegExp(`^dragonlock_history_damaged_first_revision ${first}$`, 'm'));

    // A whole header, and a file that is gone: each is a place of its own, and the rest can be read.
    flip(segments[2]!, 20);
    fs.unlinkSync(segments[0]!);
    for (const from of [after, firstOf(segments[2]!) - 1]) {
      const answer = await pollUntilRefused(client, from);
      assert.deepEqual([answer.status, answer.body.Code], [410, 'compacted'], answer.text);
    }
    const live = await client.must('POST', '/watch/acc', { Prefix: '', After: firstOf(segments[3]!) - 1 });
    assert.equal(live.Events[0]!.Rev, firstOf(segments[3]!));
    assert(damageLines(server).length <= 3);

    // Writes, and watches that are up to date, go on.
    const waiting = client.ask('POST', '/watch/acc', { Prefix: 'new', Wait: 30 });
    const writer = server.client();
    for (let i = 0; i < 3; i += 1) await writer.must('POST', db, { KVSet: { Key: `other${i}`, Value: i } });
    const { Rev } = await writer.must('POST', db, { KVSet: { Key: 'new', Value: 1 } });
    assert.equal((await waiting)?.body.Rev ?? 0, Rev);
    assert.equal(server.pid, pid, 'it is the same process');
    await writer.close();
    await client.close();
    // Everything is in the checkpoints now.
    await server.stop();

    // What no replay needs does not stop the next start.
    await server.start({ shards: 2, threads: 1 });
    const again = server.client();
    assert.equal((await again.must('POST', db, { KVGet: ['new'] })).KV![0]!.Version, Rev);
    await again.close();
    await server.stop();
  },
);

/** Writes a large value. The memtable of these tests is small: while a checkpoint makes room, the answer is 503. */
async function put(client: CrashClient, key: string, bytes: number): Promise<number> {
  for (;;) {
    const answer = await client.ask('POST', db, { KVSet: { Key: key, Value: 'v'.repeat(bytes) } });
    assert(answer !== undefined, 'the server answers');
    if (answer.status === 503) continue;
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    return answer.body.Rev;
  }
}

interface FramePlace {
  readonly start: number;
  readonly first: number;
}

async function pollUntilRefused(
  client: ReturnType<CrashServer['client']>,
  from: number,
): Promise<NonNullable<Awaited<ReturnType<typeof client.ask>>>> {
  for (let after = from; ; ) {
    const answer = await client.ask('POST', '/watch/acc', { Prefix: '', After: after });
    assert(answer !== undefined, 'every poll is answered');
    if (answer.status !== 200) return answer;
    assert(answer.body.Rev > after, answer.text.slice(0, 200));
    after = answer.body.Rev;
  }
}

function damageLines(server: CrashServer): LogLine[] {
  return server.log.filter(({ msg }) => msg.startsWith('History cannot be read here'));
}

function segmentsOf(server: CrashServer): string[] {
  const names = fs.readdirSync(server.journalDirectory).filter((name) => /^journal-\d+\.log$/.test(name));
  return names.toSorted().map((name) => path.join(server.journalDirectory, name));
}

function firstOf(file: string): number {
  return Number(/journal-(\d+)/.exec(path.basename(file))![1]);
}

function framesIn(bytes: Buffer): FramePlace[] {
  const frames: FramePlace[] = [];
  for (let start = headerBytes; bytes.subarray(start, start + frameMagic.length).equals(frameMagic); ) {
    frames.push({ start, first: bytes.readUIntLE(start + 24, 6) });
    start += bytes.readUInt32LE(start + 8);
  }
  return frames;
}

function flip(file: string, at: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}
