import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FencedLog } from '../../src/cluster/fenced-log.ts';
import {
  handOverCell,
  heldBytesMax,
  HeldRequests,
  heldRequestsMax,
  type CellGiven,
  type HandOverDependencies,
} from '../../src/cluster/hand-over.ts';
import { frameBehind, lengthen, pause, ScriptedEngine, settle, take } from './scripted-engine.ts';

interface Scene {
  readonly engine: ScriptedEngine;
  readonly log: FencedLog;
  readonly held: HeldRequests<string>;
  readonly sent: string[];
  readonly refused: string[];
  readonly told: CellGiven[];
  /** The second is over. */
  late: () => void;
  readonly dependencies: HandOverDependencies<string>;
}

/** Session 1 has a cell with one frame. */
async function scene(serves: () => Promise<boolean> = () => Promise.resolve(true)): Promise<Scene> {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const [end] = await lengthen(engine, owner, 1);
  const [sent, refused, told]: [string[], string[], CellGiven[]] = [[], [], []];
  const late = Promise.withResolvers<void>();
  return {
    engine,
    log: new FencedLog(owner, end!, { engine: engine.engine, pause }),
    held: new HeldRequests<string>((request) => request.length),
    sent,
    refused,
    told,
    late: late.resolve,
    dependencies: {
      tell: (given) => {
        told.push(given);
        return serves();
      },
      sendOn: (requests) => void sent.push(...requests),
      refuse: (request) => void refused.push(request),
      after: () => late.promise,
    },
  };
}
const quiet = (): Promise<void> => Promise.resolve();
const once = (requests: string[]) => (): string[] => requests.splice(0);

test('a hand-over sends on who waited, then what was held, when the target serves', async () => {
  const { log, held, sent, refused, told, dependencies } = await scene();
  for (const request of ['third', 'fourth']) held.hold(request);
  const waiting = once(['first', 'second']);
  assert.equal(await handOverCell({ log, to: 2, held, quiet, waiting }, dependencies), 'given');
  assert.deepEqual([sent, refused], [['first', 'second', 'third', 'fourth'], []]);
  assert.deepEqual(told, [{ cell: 0, epoch: 2, session: 2, end: log.end }]);
  assert.equal(held.hold('fifth'), false);
});

test('an owner whose frame takes too long keeps the cell, and what it holds', async () => {
  const { engine, log, held, late, refused, dependencies } = await scene();
  held.hold('a');
  const handing = handOverCell(
    { log, to: 2, held, quiet: () => new Promise(() => undefined), waiting: () => [] },
    dependencies,
  );
  late();
  assert.equal(await handing, 'kept');
  assert.equal(engine.calls.includes('handOver'), false);
  assert.deepEqual([held.takeAll(), refused], [['a'], []]);
  assert.equal(await log.append(frameBehind(log.end, 1)), 'done');
});

test('a hand-over without an answer is sent again; what is held too long is refused, once', async () => {
  const { engine, log, held, late, sent, refused, told, dependencies } = await scene();
  held.hold('b');
  engine.fault('handOver', 'answer-lost', 'request-lost');
  engine.before('handOver', async () => {
    late();
    await settle();
  });
  const waiting = once(['a']);
  assert.equal(await handOverCell({ log, to: 2, held, quiet, waiting }, dependencies), 'given');
  assert.deepEqual([sent, refused], [[], ['a', 'b']]);
  assert.equal(told.length, 1, 'the target has the cell all the same');
});

test('a target that says nothing in time: what is held is refused', async () => {
  const { log, held, late, sent, refused, dependencies } = await scene(() => new Promise(() => undefined));
  held.hold('a');
  const handing = handOverCell({ log, to: 2, held, quiet, waiting: () => [] }, dependencies);
  await settle();
  late();
  assert.equal(await handing, 'given-unheard');
  assert.deepEqual([sent, refused], [[], ['a']]);
  const other = await scene(() => Promise.resolve(false));
  other.held.hold('b');
  const request = { log: other.log, to: 2, held: other.held, quiet, waiting: () => [] };
  assert.equal(await handOverCell(request, other.dependencies), 'given-unheard');
  assert.deepEqual([other.sent, other.refused], [[], ['b']]);
});

test('from the first try of a hand-over on nothing is appended', async () => {
  const { engine, log } = await scene();
  engine.fault('handOver', 'late');
  const frame = frameBehind(log.end, 1);
  const given = log.handOver(2);
  assert.equal(await log.append(frame), 'deposed');
  assert.equal(await given, 'done');
  assert.equal(engine.frames().length, 1);
});

test('who was replaced cannot hand over; who finds its last frame lost has gone back', async () => {
  const replaced = await scene();
  await take(replaced.engine, 3);
  replaced.held.hold('a');
  const request = { log: replaced.log, to: 2, held: replaced.held, quiet, waiting: () => [] };
  assert.equal(await handOverCell(request, replaced.dependencies), 'deposed');
  assert.deepEqual([replaced.told, replaced.refused], [[], ['a']]);
  const { engine, log } = await scene();
  engine.model.failOver(1);
  engine.model.start();
  assert.equal(await log.handOver(2), 'gone-back');
  assert.equal(await log.append(frameBehind(log.end, 1)), 'gone-back');
});

test('what a cell holds has bounds', () => {
  const many = new HeldRequests<string>(() => 1);
  for (let index = 0; index < heldRequestsMax; index += 1) assert.ok(many.hold('a'));
  assert.equal(many.hold('a'), false);
  const large = new HeldRequests<number>((bytes) => bytes);
  assert.ok(large.hold(heldBytesMax - 1));
  assert.equal(large.hold(2), false);
  assert.ok(large.hold(1));
});
