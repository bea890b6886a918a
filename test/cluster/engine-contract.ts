/** What each engine promises, whatever keeps the log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Engine, LogFrame, LogPlace, Owned, Snapshot } from '../../src/cluster/engine.ts';
import { revision } from '../../src/protocol/ids.ts';
import { frameBehind } from './frames.ts';
import { anchor } from './model-engine.ts';

const done = { kind: 'done', result: undefined };
const refused = { kind: 'refused' };
let sessions = 1000;

export const newSession = (): number => (sessions += 1);

/** Takes a cell that nobody has had. */
export async function own(engine: Engine, cell: number): Promise<Owned> {
  const session = newSession();
  const answer = await engine.take(cell, 0, session);
  assert.equal(answer.kind, 'done');
  return { cell, epoch: 1, session };
}

export async function lengthen(engine: Engine, owner: Owned, end: LogPlace, count: number): Promise<LogFrame[]> {
  const frames: LogFrame[] = [];
  for (let index = 0; index < count; index += 1) {
    const previous = frames.at(-1) ?? end;
    const frame = frameBehind(previous, owner.epoch, `frame ${index}`, 1 + (index % 3));
    assert.deepEqual(await engine.append(owner, frame, previous), done);
    frames.push(frame);
  }
  return frames;
}

/** @param engineOf an engine whose cells 0 to 19 nobody has had; the same one each time */
export function testEngine(
  name: string,
  engineOf: () => Engine,
  options: { readonly skip?: string | boolean } = {},
): void {
  const contract = (title: string, run: (engine: Engine) => Promise<void>): void => {
    test(`${name}: ${title}`, options, () => run(engineOf()));
  };

  contract('frames come back in order, with all their bytes', async (engine) => {
    const owner = await own(engine, 0);
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 256));
    const frames = await lengthen(engine, owner, anchor, 12);
    const large = { ...frameBehind(frames.at(-1)!, 1, 'large'), bytes };
    assert.deepEqual(await engine.append(owner, large, frames.at(-1)!), done);
    const all = await engine.read(0, revision(0), 100);
    // A difference of so many bytes would take minutes to print.
    assert.ok(isDeepStrictEqual(all, { kind: 'done', result: [...frames, large] }), all.kind);
    const inside = frames.find(({ first, last }) => last - first === 2)!;
    const from = await engine.read(0, revision(inside.first), 2);
    assert.deepEqual(from, { kind: 'done', result: [inside, frames[frames.indexOf(inside) + 1]] });
    assert.ok(isDeepStrictEqual(await engine.frameAt(0, large.first), { kind: 'done', result: large }));
    assert.deepEqual(await engine.frameAt(0, revision(999)), { kind: 'done', result: undefined });
    assert.deepEqual(await engine.read(0, large.last, 2), { kind: 'done', result: [] });
  });

  contract('a frame goes behind the last one and nowhere else', async (engine) => {
    const owner = await own(engine, 1);
    const [one, two] = await lengthen(engine, owner, anchor, 2);
    const three = frameBehind(two!, 1, 'three');
    assert.deepEqual(await engine.append(owner, two!, one!), refused, 'the slot is taken');
    assert.deepEqual(await engine.append(owner, three, { ...two!, chain: two!.chain + 1 }), refused, 'another chain');
    assert.deepEqual(await engine.append(owner, three, frameBehind(three, 1, 'four')), refused, 'a hole');
    assert.deepEqual(await engine.append(owner, three, two!), done);
  });

  contract('two writers race for one slot, and one of them wins', async (engine) => {
    const owner = await own(engine, 2);
    let end: LogPlace = anchor;
    for (let round = 0; round < 20; round += 1) {
      const frames = [0, 1, 2].map((writer) => frameBehind(end, 1, `${round} of ${writer}`));
      const answers = await Promise.all(frames.map((frame) => engine.append(owner, frame, end)));
      assert.deepEqual(answers.map(({ kind }) => kind).toSorted(), ['done', 'refused', 'refused']);
      const winner = frames[answers.findIndex(({ kind }) => kind === 'done')]!;
      assert.deepEqual(await engine.frameAt(2, winner.first), { kind: 'done', result: winner });
      end = winner;
    }
  });

  contract('an owner that was replaced is refused everything', async (engine) => {
    const owner = await own(engine, 3);
    const [one] = await lengthen(engine, owner, anchor, 1);
    const session = newSession();
    const taken = { kind: 'done', result: { cell: 3, epoch: 2, session, trimmed: 0, snapshot: undefined } };
    assert.deepEqual(await engine.take(3, 1, session), taken);
    assert.deepEqual(await engine.take(3, 1, session), taken, 'the same again');
    assert.deepEqual(await engine.take(3, 1, newSession()), refused, 'the epoch is another one');
    const two = frameBehind(one!, 1, 'too late');
    for (const stale of [
      owner,
      { ...owner, epoch: 2 },
      { cell: 3, epoch: 1, session },
      { cell: 3, epoch: 3, session },
    ]) {
      assert.deepEqual(await engine.append(stale, two, one!), refused);
      assert.deepEqual(await engine.barrier(stale), refused);
      assert.deepEqual(await engine.trim(stale, one!.last), refused);
      assert.deepEqual(await engine.putPart(stale, one!.last, 0, Buffer.from('part')), refused);
      assert.deepEqual(await engine.publish(stale, { ...one!, parts: 0 }), refused);
      assert.deepEqual(await engine.handOver(stale, one!, newSession()), refused);
    }
    assert.deepEqual(await engine.look(3), taken);
    assert.deepEqual(await engine.append({ cell: 3, epoch: 2, session }, { ...two, epoch: 2 }, one!), done);
  });

  contract('a cell whose owner lives is not taken', async (engine) => {
    const [owner, other] = [newSession(), newSession()];
    assert.deepEqual(await engine.join('owner', owner, undefined), done);
    assert.equal((await engine.take(16, 0, owner)).kind, 'done');
    assert.deepEqual(await engine.take(16, 1, other), refused);
    assert.deepEqual(await engine.fence('owner', owner, 0), done);
    assert.equal((await engine.take(16, 1, other)).kind, 'done');
  });

  contract('of those who take a cell at once, one has it', async (engine) => {
    const mine = [1, 2, 3, 4].map(newSession);
    const answers = await Promise.all(mine.map((session) => engine.take(4, 0, session)));
    assert.deepEqual(answers.map(({ kind }) => kind).toSorted(), ['done', 'refused', 'refused', 'refused']);
    const session = mine[answers.findIndex(({ kind }) => kind === 'done')]!;
    assert.deepEqual(await engine.look(4), {
      kind: 'done',
      result: { cell: 4, epoch: 1, session, trimmed: 0, snapshot: undefined },
    });
  });

  contract('while takes and appends meet, no frame follows a take that it does not know', async (engine) => {
    let owner = await own(engine, 5);
    let end: LogPlace = anchor;
    for (let round = 0; round < 20; round += 1) {
      const frame = frameBehind(end, owner.epoch, `round ${round}`);
      const session = newSession();
      const [appended, taken] = await Promise.all([
        engine.append(owner, frame, end),
        engine.take(5, owner.epoch, session),
      ]);
      assert.equal(taken.kind, 'done');
      // Read behind the take: what is not there now never comes.
      const found = await engine.frameAt(5, frame.first);
      assert.equal(found.kind === 'done' && found.result?.chain === frame.chain, appended.kind === 'done');
      if (appended.kind === 'done') end = frame;
      owner = { cell: 5, epoch: owner.epoch + 1, session };
    }
  });

  contract('a hand-over needs the last frame, and the same again succeeds', async (engine) => {
    const owner = await own(engine, 6);
    const [one] = await lengthen(engine, owner, anchor, 1);
    const to = newSession();
    assert.deepEqual(await engine.handOver(owner, frameBehind(one!, 1, 'lost'), to), refused);
    assert.deepEqual(await engine.handOver(owner, one!, to), done);
    assert.deepEqual(await engine.handOver(owner, one!, to), done);
    assert.deepEqual(await engine.barrier({ cell: 6, epoch: 2, session: to }), done);
    assert.deepEqual(await engine.barrier(owner), refused);
  });

  contract('trimming leaves the last frame, and what it says is gone is what is gone', async (engine) => {
    const owner = await own(engine, 7);
    const frames = await lengthen(engine, owner, anchor, 6);
    assert.deepEqual(await engine.trim(owner, frames[2]!.last), done);
    assert.deepEqual(await engine.read(7, revision(0), 100), { kind: 'done', result: frames.slice(3) });
    assert.deepEqual(await engine.trim(owner, revision(frames[5]!.last + 1000)), done);
    assert.deepEqual(await engine.read(7, revision(0), 100), { kind: 'done', result: frames.slice(5) });
    assert.deepEqual(await engine.trim(owner, revision(1)), done);
    const row = await engine.look(7);
    assert.equal(row.kind === 'done' && row.result.trimmed, frames[5]!.last + 1000, 'it only grows');
    await lengthen(engine, owner, frames[5]!, 1);
  });

  contract('a snapshot is published when all its parts are there, and only a newer one replaces it', async (engine) => {
    const owner = await own(engine, 9);
    const [one, two] = await lengthen(engine, owner, anchor, 2);
    const snapshotAt = ({ first, last, chain }: LogPlace, parts: number): Snapshot => ({
      epoch: owner.epoch,
      first,
      last,
      chain,
      parts,
    });
    const partsOf = async (snapshot: Snapshot): Promise<(string | undefined)[]> => {
      const found: (string | undefined)[] = [];
      for (let part = 0; part < 3; part += 1) {
        const answer = await engine.readPart(9, snapshot, part);
        found.push(answer.kind === 'done' ? answer.result?.toString() : answer.kind);
      }
      return found;
    };
    const first = snapshotAt(one!, 2);
    assert.deepEqual(await engine.putPart(owner, first.last, 1, Buffer.from('b')), done);
    assert.deepEqual(await engine.publish(owner, first), refused, 'a part is missing');
    assert.deepEqual(await engine.putPart(owner, first.last, 0, Buffer.from('a')), done);
    assert.deepEqual(await engine.putPart(owner, first.last, 0, Buffer.from('a')), done, 'the same again');
    assert.deepEqual(await engine.publish(owner, first), done);
    assert.deepEqual(await engine.publish(owner, first), done, 'the same again');
    const row = await engine.look(9);
    assert.deepEqual(row.kind === 'done' && row.result.snapshot, first);
    const second = snapshotAt(two!, 1);
    assert.deepEqual(await engine.putPart(owner, second.last, 0, Buffer.from('c')), done);
    assert.deepEqual(await partsOf(first), ['a', 'b', undefined], 'it counts until another one is published');
    assert.deepEqual(await engine.publish(owner, second), done);
    assert.deepEqual(await partsOf(first), [undefined, undefined, undefined]);
    assert.deepEqual(await partsOf(second), ['c', undefined, undefined]);
    // A twin of the first comes late, parts and all.
    for (const part of [0, 1]) await engine.putPart(owner, first.last, part, Buffer.from('late'));
    assert.deepEqual(await engine.publish(owner, first), refused);
    const taken = await engine.take(9, 1, newSession());
    assert.deepEqual(taken.kind === 'done' && taken.result.snapshot, second);
  });

  contract('who reads while the log grows sees an unbroken beginning of it', async (engine) => {
    const owner = await own(engine, 8);
    const writer = { isOver: false };
    const writing = lengthen(engine, owner, anchor, 60).finally(() => (writer.isOver = true));
    do {
      const answer = await engine.read(8, revision(0), 100);
      assert.equal(answer.kind, 'done');
      let end: LogPlace = anchor;
      for (const frame of answer.kind === 'done' ? answer.result : []) {
        assert.equal(frame.previous, end.chain);
        end = frame;
      }
      await turn();
    } while (!writer.isOver);
    await writing;
  });

  contract('a session beats until it is dead or replaced', async (engine) => {
    const [first, second] = [newSession(), newSession()];
    const row = async (): Promise<unknown> => {
      const nodes = await engine.nodes();
      return nodes.kind === 'done' ? nodes.result.find(({ node }) => node === 'a') : nodes;
    };
    assert.deepEqual(await engine.beat('a', first), refused, 'nobody has joined');
    assert.deepEqual(await engine.join('a', first, second), refused, 'the one before is not there');
    assert.deepEqual(await engine.join('a', first, undefined), done);
    assert.deepEqual(await engine.join('a', second, undefined), refused, 'there is one by now');
    assert.deepEqual(await engine.beat('a', first), done);
    assert.deepEqual(await row(), { node: 'a', session: first, beat: 1, dead: false });
    assert.deepEqual(await engine.fence('a', first, 0), refused, 'it has beaten since');
    assert.deepEqual(await engine.fence('a', second, 1), refused, 'it is another one');
    assert.deepEqual(await engine.fence('a', first, 1), done);
    assert.deepEqual(await engine.beat('a', first), refused);
    // The answer of the join was lost, and its twin comes late: what is dead stays dead.
    assert.deepEqual(await engine.join('a', first, undefined), refused);
    assert.deepEqual(await engine.beat('a', first), refused);
    assert.deepEqual(await engine.join('a', second, first), done);
    assert.deepEqual(await engine.beat('a', second), done);
    assert.deepEqual(await engine.join('a', second, first), done, 'the same again');
    assert.deepEqual(await row(), { node: 'a', session: second, beat: 1, dead: false }, 'its beats go on');
    assert.deepEqual(await engine.join('a', first, first), refused);
  });
}
