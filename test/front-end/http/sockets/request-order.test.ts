/**
 * Requests of one connection take effect in the order in which they were sent. Random rounds of requests of every kind
 * go out in one write, and each reply must be what the contract says of them one after the other.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { errorCodes } from '../../../../src/protocol/errors.ts';
import { revision } from '../../../../src/protocol/ids.ts';
import type { Command } from '../../../../src/protocol/operations/operations.ts';
import type { Outcome as ReplyOutcome } from '../../../../src/protocol/replies.ts';
import { acme } from '../../../support/commands.ts';
import { Comparison, type Said } from '../../../support/contract/comparison.ts';
import type { Body } from '../../../support/contract/expected.ts';
import { nameOf, type KvEntry } from '../../../support/contract/state.ts';
import { startOfTime } from '../../../support/core-under-test.ts';
import { openDoor } from '../../../support/door-in-process.ts';
import { historyOf, seeded } from '../../../support/generators/model-histories.ts';
import { batchBody, httpCall, type HttpCall } from '../../../support/http-calls.ts';
import { HttpCommands, withFingerprint } from '../../../support/http-commands.ts';
import { callBytes, Pipeline, type PipelinedReply } from '../../../support/pipeline.ts';
import { isOfSharedLocks } from '../../../support/generators/shared-lock.ts';
import { seededRandom, type SeededRandom } from '../../../support/seeded-random.ts';

const rounds = 6;
const shardCounts = [1, 2];

/** One request of a round, and what is expected of its reply. */
interface Sent {
  readonly bytes: Buffer;
  /** The commands that it stands for; none if it is refused, or reads the journal. */
  readonly commands: readonly Command[];
  readonly array: boolean;
  readonly check?: (reply: PipelinedReply, comparison: Comparison) => void;
}

for (const shards of shardCounts) {
  test(`order: ${shards} shard(s) do what one connection sends as if it came one by one, over all calls`, async (t) => {
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(historyOf(40), async ({ seed, steps }) => {
        const door = await openDoor(t, shards);
        const random = seededRandom(seed);
        const commands = new HttpCommands(random, { things: 3 });
        const comparison = new Comparison(startOfTime, shards);
        const connection = await Pipeline.open(door.port);
        let ref = 0;
        let known = 0;
        for (let round = 0; round < rounds; round += 1) {
          const sent = Array.from({ length: steps }, () => request(random, commands, known));
          await writeInPieces(connection, Buffer.concat(sent.map(({ bytes }) => bytes)), random);
          const replies = await connection.take(sent.length);
          known = Math.max(known, ...replies.map(revOf));
          const { said, happens } = roundOf(sent, replies, ref);
          const asked = [...new Set(said.values())];
          comparison.step(asked, () => happens(comparison));
          ref += said.size;
          for (const each of sent) for (const command of each.commands) kinds.add(kindOf(command));
          for (const [
            i,
            {
              commands: [command],
              array,
            },
          ] of sent.entries()) {
            if (!array && command !== undefined && replies[i]!.status === 200)
              commands.learn(command, JSON.parse(replies[i]!.body) as Body);
          }
          if (shards === 1) ascending(sent, replies);
        }
        connection.socket.destroy();
        await door.close();
      }),
      seeded(12),
    );
    const missing = allKinds.filter((kind) => !kinds.has(kind));
    assert.deepEqual(missing, [], 'every kind of call was made');
  });
}

const allKinds = [
  'batch kv.get kv.set kv.delete counter.get counter.add counter.reset sequence.get sequence.next sequence.reset',
  'lock.acquire lock.release kv.list lock.list lock.inspect mutex.lock mutex.unlock watch.key',
].flatMap((line) => line.split(' '));

function kindOf(command: Command): string {
  return command.kind === 'batch' ? command.format : command.kind;
}

function request(random: SeededRandom, commands: HttpCommands, known: number): Sent {
  const draw = random.below(100);
  if (draw < 6) return refused(random);
  if (draw < 11) return prefixWatch(known);
  if (draw < 21) {
    const batches = commands.several(1 + random.below(4)).filter(isOrdered);
    if (batches.length === 0) return refused(random);
    const call: HttpCall = { method: 'POST', target: `/db/${acme}`, body: batches.map(batchBody) };
    return { bytes: callBytes(call), commands: batches, array: true };
  }
  let command = withoutWait(commands.next());
  while (!isOrdered(command)) command = withoutWait(commands.next());
  const framing = (['length', 'length', 'chunked', 'expect'] as const)[random.below(4)]!;
  return { bytes: callBytes(httpCall(command), framing), commands: [command], array: false };
}

/** A set of locks takes its places one by one, so that what is sent behind it may come before. */
function isOrdered(command: Command): boolean {
  return !isOfSharedLocks(command);
}

/** The clock stands still: nobody may wait. */
function withoutWait(command: Command): Command {
  if (command.kind === 'batch' && command.dequeue !== undefined)
    return withFingerprint({ ...command, dequeue: { ...command.dequeue, waitMs: 0 } });
  if ((command.kind !== 'batch' && command.kind !== 'mutex.lock') || command.lock === undefined) return command;
  const lock = { ...command.lock, waitMs: 0 };
  return command.kind === 'batch' ? withFingerprint({ ...command, lock }) : { ...command, lock };
}

function refused(random: SeededRandom): Sent {
  const calls: readonly (readonly [call: HttpCall, status: number])[] = [
    [{ method: 'POST', target: '/db/acme', body: Buffer.from('{"KVSet":') }, 400],
    [{ method: 'POST', target: '/db/acme', body: { KVSet: { Key: 'k0', Value: 1 }, Nonsense: 1 } }, 400],
    [{ method: 'GET', target: '/db/acme/kv/k0?nonsense=1' }, 400],
    [{ method: 'DELETE', target: '/db/acme/kv/k0?ver=x' }, 400],
    [{ method: 'GET', target: '/db/acme/nowhere' }, 404],
    [{ method: 'POST', target: '/db/no%20account', body: { KVSet: { Key: 'k0', Value: 1 } } }, 400],
  ];
  const [call, status] = calls[random.below(calls.length)]!;
  const check = (reply: PipelinedReply): void => assert.equal(reply.status, status, reply.body);
  return { bytes: callBytes(call), commands: [], array: false, check };
}

/** A poll over everything after what was known before this round: it shows all that was sent before it. */
function prefixWatch(known: number): Sent {
  const body = { Prefix: '', After: known, Wait: 0, Limit: 1000 };
  const check = (reply: PipelinedReply, { model }: Comparison): void => {
    assert.equal(reply.status, 200, reply.body);
    const { Events } = JSON.parse(reply.body) as { Events: { Key: string; Rev: number }[] };
    const told = new Set(Events.map(({ Key, Rev }) => `${Key} ${Rev}`));
    assert.equal(told.size, Events.length, 'nothing twice');
    for (const key of model.state.keys('kv', acme, '', undefined)) {
      const { version } = model.state.get(nameOf('kv', acme, key)) as KvEntry;
      if (version > known) assert.ok(told.has(`${key} ${version}`), `${key} at ${version}: ${reply.body}`);
    }
  };
  return { bytes: callBytes({ method: 'POST', target: `/watch/${acme}`, body }), commands: [], array: false, check };
}

/** Cut anywhere, or not at all. */
async function writeInPieces({ socket }: Pipeline, bytes: Buffer, random: SeededRandom): Promise<void> {
  const cuts =
    random.below(3) === 0 ? Array.from({ length: 1 + random.below(6) }, () => random.below(bytes.length)) : [];
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    socket.write(bytes.subarray(from, to));
    from = to;
    for (let turns = random.below(3); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
  }
}

function roundOf(sent: readonly Sent[], replies: readonly PipelinedReply[], firstRef: number) {
  const said = new Map<number, { ref: number; reply: Said['reply'] }>();
  const steps: ((comparison: Comparison) => void)[] = [];
  for (const [i, { commands, array, check }] of sent.entries()) {
    const reply = replies[i]!;
    if (check !== undefined) steps.push((comparison) => check(reply, comparison));
    const bodies = array ? itemsOf(reply, commands.length) : [reply];
    for (const [place, command] of commands.entries()) {
      const ref = firstRef + said.size;
      const one = { ref, reply: replyOf(bodies[place]!) };
      said.set(ref, one);
      steps.push(({ model }) => {
        if (command.kind === 'watch.key' && toldLater(command, one.reply, model)) {
          one.reply = { rev: revision(0), outcome: 'registered', body: '' };
        }
        model.submit(ref, command);
      });
    }
  }
  return { said, happens: (comparison: Comparison) => steps.forEach((step) => step(comparison)) };
}

/** A watch that was up to date may be told of a change that was sent after it. */
function toldLater(
  { key, version }: Extract<Command, { kind: 'watch.key' }>,
  reply: Said['reply'],
  { state }: Comparison['model'],
): boolean {
  const current = (state.get(nameOf('kv', acme, key)) as KvEntry | undefined)?.version ?? 0;
  if (current !== version || reply.outcome !== 'ok') return false;
  assert.notEqual((JSON.parse(reply.body) as Body).Version, version);
  return true;
}

function itemsOf({ status, body }: PipelinedReply, count: number): { status: number; headers: string; body: string }[] {
  assert.equal(status, 200, body);
  const items = JSON.parse(body) as { Status: number }[];
  assert.equal(items.length, count);
  return items.map(({ Status, ...rest }) => ({ status: Status, headers: '', body: JSON.stringify(rest) }));
}

function replyOf({ status, headers, body }: PipelinedReply): Said['reply'] {
  const parsed = (body === '' ? {} : JSON.parse(body)) as Body;
  const outcome: ReplyOutcome =
    status === 204 ? 'registered' : status === 200 ? 'ok' : (parsed.Code as keyof typeof errorCodes);
  assert.ok(status < 400 || errorCodes[outcome as keyof typeof errorCodes]?.status === status, `${status} ${body}`);
  const reply = { rev: revision(parsed.Rev ?? 0), outcome, body: status === 204 ? '' : body };
  return /idempotent-replayed: true/i.test(headers) ? { ...reply, replayed: true } : reply;
}

function revOf({ status, body }: PipelinedReply): number {
  if (status !== 200) return 0;
  const parsed = JSON.parse(body) as Body | Body[];
  return Math.max(...[parsed].flat().map(({ Rev }) => Rev ?? 0));
}

/** With one shard even the revisions are in the order of sending; accounts take turns. */
function ascending(sent: readonly Sent[], replies: readonly PipelinedReply[]): void {
  const lasts = new Map<string, number>();
  for (const [i, { commands, array }] of sent.entries()) {
    const [command] = commands;
    const { status, headers, body } = replies[i]!;
    const isOther = command === undefined || array || command.kind === 'watch.key' || command.kind.startsWith('mutex');
    if (isOther || status !== 200 || /idempotent-replayed/i.test(headers)) continue;
    const { Rev } = JSON.parse(body) as Body;
    const last = lasts.get(command.account) ?? 0;
    assert.ok(Rev! >= last, `${Rev} after ${last}: ${body}`);
    lasts.set(command.account, Rev!);
  }
}
