import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FootprintQueue } from '../../src/protocol/footprint-queue.ts';
import { FootprintSet, nameOf, type Footprint } from '../../src/protocol/footprint.ts';
import { accountId, type AccountId } from '../../src/protocol/ids.ts';

const accounts = [accountId('a'), accountId('ab')];
const footprints = fc
  .record({
    account: fc.constantFrom(...accounts),
    names: fc.array(fc.string({ unit: fc.constantFrom('x', 'y', '\u{ffff}'), maxLength: 3 }), { maxLength: 3 }),
    prefix: fc.option(fc.string({ unit: fc.constantFrom('x', 'y'), maxLength: 2 }), { nil: undefined }),
  })
  .map(({ account, names, prefix }) => ({
    account,
    footprint: {
      names: names.map((name) => nameOf(account, name)),
      ...(prefix === undefined ? {} : { prefix: nameOf(account, prefix) }),
    },
  }));

function meets(a: Footprint, b: Footprint): boolean {
  return (
    a.names.some((name) => b.names.includes(name) || under(name, b.prefix)) ||
    b.names.some((name) => under(name, a.prefix)) ||
    under(a.prefix ?? '\0', b.prefix) ||
    under(b.prefix ?? '\0', a.prefix)
  );
}

test('footprints: a set conflicts exactly with what shares a name or a prefix with one of its members', () => {
  fc.assert(
    fc.property(
      fc.array(footprints, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 4 }),
      footprints,
      (all, removed, asked) => {
        const set = new FootprintSet();
        for (const { footprint } of all) set.add(footprint);
        const left = [...all];
        for (const at of removed) {
          const [gone] = left.splice(at % Math.max(left.length, 1), 1);
          if (gone !== undefined) set.remove(gone.footprint);
        }
        assert.equal(
          set.conflicts(asked.footprint),
          left.some(({ footprint }) => meets(footprint, asked.footprint)),
        );
        for (const { footprint } of left) set.remove(footprint);
        assert.ok(set.empty);
      },
    ),
  );
});

describe('a queue of commands that share keys', () => {
  test('lets each go once nothing earlier shares a key with it, in order of arrival', () => {
    fc.assert(
      fc.property(fc.array(footprints, { maxLength: 30 }), (all) => {
        const queue = new FootprintQueue<TestCommand>();
        all.forEach((each, n) => queue.add({ ...each, n }));
        const ran: number[] = [];
        for (let rounds = 0; queue.size > 0; rounds += 1) {
          assert.ok(rounds <= all.length, 'the first of each account always goes');
          for (const account of accounts) {
            while (
              queue.release(
                account,
                () => false,
                ({ n }) => ran.push(n),
              )
            );
          }
        }
        for (const [place, n] of ran.entries()) {
          const overtaken = ran.slice(place + 1).filter((m) => m < n && meets(all[m]!.footprint, all[n]!.footprint));
          assert.deepEqual(overtaken, []);
        }
      }),
    );
  });

  test('lets a bounded number go at once, says that there are more, and keeps the order for later ones', () => {
    const queue = new FootprintQueue<TestCommand>();
    for (let n = 0; n < 100; n += 1) queue.add(command(`k${n}`, n));
    const ran: number[] = [];
    assert.equal(
      queue.release(
        accounts[0]!,
        () => false,
        ({ n }) => ran.push(n),
      ),
      true,
    );
    assert.ok(ran.length < 100);
    assert.ok(queue.conflicts(command('k99', 0).footprint));
    while (
      queue.release(
        accounts[0]!,
        () => false,
        ({ n }) => ran.push(n),
      )
    );
    assert.deepEqual(
      ran,
      Array.from({ length: 100 }, (_, n) => n),
    );
  });

  test('looks past a bounded number of names, and comes to the others when those in front have gone', () => {
    const queue = new FootprintQueue<TestCommand>();
    let asked = 0;
    for (let n = 0; n < 50_000; n += 1) queue.add(command(`k${n}`, n));
    const held = new Set([nameOf(accounts[0]!, 'k0')]);
    const isHeld = ({ names }: Footprint): boolean => {
      asked += 1;
      return held.has(names[0]!) || names[0]!.endsWith('9');
    };
    queue.release(accounts[0]!, isHeld, () => {});
    assert.ok(asked <= 2000, `${asked} were looked at`);
  });
});

interface TestCommand {
  readonly account: AccountId;
  readonly footprint: Footprint;
  readonly n: number;
}

function command(name: string, n: number): TestCommand {
  const account = accounts[0]!;
  return { account, footprint: { names: [nameOf(account, name)] }, n };
}

function under(name: string, prefix: string | undefined): boolean {
  return prefix !== undefined && name.startsWith(prefix);
}
