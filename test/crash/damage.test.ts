/**
 * Damages the real files of a journal while the server is down.
 *
 *   the last frame cut short               a torn tail: it is dropped, all before it is served
 *   a byte changed, in whatever frame      something durable is damaged: no start, and the place is named
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { frameHeaderBytes, frameMagic } from '../../src/journal/file/frame.ts';
import type { CrashServer } from '../support/crash-server.ts';
import { trial } from '../support/crash-trial.ts';

const db = '/db/acc';
/** Otherwise a few places: each costs a start, and test/damage/ tries thousands without one. */
const full = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full';
const headerBytes = 512;

interface FramePlace {
  readonly start: number;
  readonly length: number;
}

trial(
  'a torn last frame is dropped wherever it is torn, and everything before it is served',
  import.meta.url,
  async ({ server }) => {
    const written = await writeKeys(server, 12);
    const file = activeSegment(server);
    const whole = fs.readFileSync(file);
    const frames = framesIn(whole);
    const last = frames.at(-1)!;
    const end = last.start + last.length;
    const all: ((bytes: Buffer) => void)[] = [
      (bytes) => bytes.fill(0, last.start, end),
      (bytes) => bytes.fill(0, last.start + 1, end),
      (bytes) => bytes.fill(0, last.start + frameHeaderBytes, end),
      (bytes) => bytes.fill(0, end - 1, end),
    ];
    const tears = full ? all : [all.at(0)!, all.at(-1)!];
    for (const [i, tear] of tears.entries()) {
      const torn = Buffer.from(whole);
      tear(torn);
      fs.writeFileSync(file, torn);
      await server.start({ shards: 1 });
      const client = server.client();
      const { KV } = await client.must('POST', db, { KVGet: [...written.keys()] });
      // The last frame holds the last key, and nothing else.
      for (const { Key, Version, Value } of KV!) {
        const wanted = Key === [...written.keys()].at(-1) ? 0 : written.get(Key);
        assert.equal(Version, wanted, `tear ${i}: version of ${Key}`);
        if (wanted !== 0) assert.equal(Value, `value of ${Key}`, `tear ${i}`);
      }
      assert(
        i === 0 || server.log.some(({ msg }) => msg.startsWith('Dropped an incomplete write')),
        `tear ${i}: a dropped write is told of in the log`,
      );
      if (i < tears.length - 1) {
        await client.close();
        await server.kill();
        continue;
      }
      // The next write takes the revision that was never acknowledged, and survives too.
      const { Rev } = await client.must('POST', db, { KVSet: { Key: `after ${i}`, Value: i } });
      await client.close();
      await server.kill();
      await server.start({ shards: 1 });
      const again = server.client();
      const [kept] = (await again.must('POST', db, { KVGet: [`after ${i}`] })).KV!;
      assert.deepEqual([kept!.Version, kept!.Value], [Rev, i], `tear ${i}: what came after it`);
      await again.close();
      await server.kill();
    }
  },
);

trial(
  'a byte changed anywhere in the journal, or a frame that is missing, stops the start and is named',
  import.meta.url,
  async ({ server }) => {
    await writeKeys(server, 12);
    const file = activeSegment(server);
    const whole = fs.readFileSync(file);
    const frames = framesIn(whole);
    const middle = frames[Math.floor(frames.length / 2)]!;
    const last = frames.at(-1)!;
    /** A byte of a frame, a whole frame, the header; then those of a larger scale. */
    const all: { readonly at: number; readonly zeros?: number; readonly frame: number }[] = [
      { at: middle.start + frameHeaderBytes + 5, frame: middle.start },
      { at: middle.start, zeros: middle.length, frame: middle.start },
      { at: 20, frame: 0 },
      { at: middle.start, frame: middle.start },
      { at: middle.start + 9, frame: middle.start },
      { at: headerBytes + 20, frame: headerBytes },
      { at: last.start + last.length - 3, frame: last.start },
      { at: last.start + 10, frame: last.start },
    ];
    const places = full ? all : all.slice(0, 3);
    for (const { at, zeros, frame } of places) {
      const damaged = Buffer.from(whole);
      if (zeros === undefined) damaged[at]! ^= 0x10;
      else damaged.fill(0, at, at + zeros);
      fs.writeFileSync(file, damaged);
      server.launch({ shards: 1 });
      assert.deepEqual(await server.ended(), { code: 1, signal: null }, `byte ${at} is damaged\n${server.said()}`);
      const fatal = server.log.filter(({ level }) => level === 60).map(({ msg }) => msg);
      assert(fatal.length === 1, `one reason is given: ${fatal.join('\n')}`);
      assert(fatal[0]!.includes(path.basename(file)) && fatal[0]!.includes(`${frame}`), `file and offset: ${fatal[0]}`);
      assert(fs.readFileSync(file).equals(damaged), 'a start that was refused changes nothing');
    }
    fs.writeFileSync(file, whole);
    await server.start({ shards: 1 });
    await server.stop();
  },
);

/** One frame each; killed afterwards. @returns key → version */
async function writeKeys(server: CrashServer, count: number): Promise<Map<string, number>> {
  await server.start({ shards: 1 });
  const client = server.client();
  const versions = new Map<string, number>();
  for (let i = 0; i < count; i += 1) {
    const Key = `key ${i}`;
    const { Rev } = await client.must('POST', db, { KVSet: { Key, Value: `value of ${Key}` } });
    versions.set(Key, Rev);
  }
  await client.close();
  await server.kill();
  return versions;
}

function activeSegment(server: CrashServer): string {
  const names = fs.readdirSync(server.journalDirectory).filter((name) => name.startsWith('journal-'));
  return path.join(server.journalDirectory, names.toSorted().at(-1)!);
}

function framesIn(bytes: Buffer): FramePlace[] {
  const frames: FramePlace[] = [];
  for (let start = headerBytes; bytes.subarray(start, start + frameMagic.length).equals(frameMagic); ) {
    const length = bytes.readUInt32LE(start + 8);
    frames.push({ start, length });
    start += length;
  }
  return frames;
}
