/**
 * Scripts of lock libraries, done as one list of operations instead: one round trip to one shard, without Lua. They are
 * known by the SHA-1 of their text, normalised. Each does what its script does for the arguments that it takes; for any
 * others Lua runs. `test/front-end/resp/scripts/known-scripts.test.ts` compares the two.
 */
import { errorIn, resultDone, type StringOpResult } from '../../../protocol/operations/string-op.ts';
import type { OpsPlan } from '../command.ts';
import { writeResult } from '../results.ts';
import { jsonOfArgument } from '../value.ts';
import { integer, type Writer } from '../writer.ts';
import { shaOf } from './script-cache.ts';
import { normalisedScript } from './script-text.ts';

/** Keys as text, arguments as bytes. Undefined: not these. */
export type KnownScript = (keys: readonly string[], args: readonly string[]) => OpsPlan | undefined;

/** Milliseconds; longer times are for Lua, whose commands know where they end (`../till.ts`). */
const positive = /^[1-9][0-9]{0,13}$/;

interface LockCall {
  readonly key: string;
  readonly token: string;
  /** Absent: it takes none. */
  readonly ms: number | undefined;
}

/** One key, whose value is a token, and a time to live if `count` is 2. */
function oneLock(keys: readonly string[], args: readonly string[], count: 1 | 2): LockCall | undefined {
  const [token, ms] = args;
  if (keys.length !== 1 || token === undefined || args.length < count) return undefined;
  if (count === 2 && !positive.test(ms!)) return undefined;
  return { key: keys[0]!, token: jsonOfArgument(token), ms: count === 2 ? Number(ms) : undefined };
}

type Write = (results: readonly StringOpResult[], writer: Writer) => string;

function plan(ops: OpsPlan['ops'], write: Write): OpsPlan {
  return {
    kind: 'ops',
    ops,
    write(results, writer) {
      const failed = results.find((result) => errorIn(result) !== undefined);
      return failed === undefined ? write(results, writer) : writeResult(failed, writer);
    },
  };
}

const whether: Write = ([result]) => integer(result === ':1' ? 1 : 0);
const trueOrNil: Write = ([result], writer) => (result === ':1' ? integer(1) : writer.nil);

/** Deletes the key if its value is the token. */
function releases(write: Write): KnownScript {
  return (keys, args) => {
    const call = oneLock(keys, args, 1);
    if (call === undefined) return undefined;
    const { key, token: value } = call;
    return plan([{ kind: 'delete', key, condition: { kind: 'eq', value } }], write);
  };
}

/** 1, 0: it has another value; −1: there is none. */
const releasesOrMisses: KnownScript = (keys, args) => {
  const call = oneLock(keys, args, 1);
  if (call === undefined) return undefined;
  const { key, token: value } = call;
  return plan(
    [
      { kind: 'exists', key },
      { kind: 'delete', key, condition: { kind: 'eq', value } },
    ],
    ([exists, deleted]) => integer(deleted === ':1' ? 1 : exists === ':0' ? -1 : 0),
  );
};

/** Gives the key another time to live if its value is the token. */
const touches: KnownScript = (keys, args) => {
  const call = oneLock(keys, args, 2);
  if (call === undefined) return undefined;
  const { key, token: value, ms } = call;
  return plan([{ kind: 'expire', key, till: { kind: 'in', ms: ms! }, condition: { kind: 'eq', value } }], whether);
};

/** The same, or sets the key if there is none. */
function touchesOrSets(write: Write): KnownScript {
  return (keys, args) => {
    const call = oneLock(keys, args, 2);
    if (call === undefined) return undefined;
    const { key, token: value, ms } = call;
    const till = { kind: 'in', ms: ms! } as const;
    return plan(
      [
        { kind: 'set', key, value, till, condition: { kind: 'nx' } },
        { kind: 'expire', key, till, condition: { kind: 'eq', value } },
      ],
      ([set, touched], writer) => write([set === resultDone ? ':1' : touched!], writer),
    );
  };
}

/** Adds to the time to live, or replaces it, if the value is the token and there is one. */
const extendsIt: KnownScript = (keys, args) => {
  const call = oneLock(keys, args, 2);
  if (call === undefined || args.length !== 3) return undefined;
  const { key, token: value, ms } = call;
  const till = { kind: args[2] === '0' ? 'later' : 'in', ms: ms! } as const;
  return plan([{ kind: 'expire', key, till, when: 'xx', condition: { kind: 'eq', value } }], whether);
};

/** Sets all keys if there is none of them. */
const acquires: KnownScript = (keys, args) => {
  const [token, ms] = args;
  if (keys.length === 0 || token === undefined || !positive.test(ms ?? '')) return undefined;
  const value = jsonOfArgument(token);
  const till = { kind: 'in', ms: Number(ms) } as const;
  if (keys.length === 1) {
    const set = { kind: 'set', key: keys[0]!, value, till, condition: { kind: 'nx' } } as const;
    return plan([set], ([result]) => integer(result === resultDone ? 1 : 0));
  }
  return {
    ...plan(
      keys.map((key) => ({ kind: 'set', key, value, till }) as const),
      () => integer(keys.length),
    ),
    check: keys.map((key) => ({ key, exists: false })),
    failed: (code) => (code === 'precondition_failed' ? integer(0) : undefined),
  };
};

/** Sets the key again if its value is the token. Over several keys all decide together: that is for Lua. */
const resets: KnownScript = (keys, args) => {
  const call = oneLock(keys, args, 2);
  if (call === undefined) return undefined;
  const { key, token: value, ms } = call;
  const set = { kind: 'set', key, value, till: { kind: 'in', ms: ms! }, condition: { kind: 'eq', value } } as const;
  return plan([set], ([result]) => integer(result === resultDone ? 1 : 0));
};

/** Deletes each key whose value is the token. */
const releasesEach: KnownScript = (keys, args) => {
  const [token] = args;
  if (keys.length === 0 || token === undefined) return undefined;
  const condition = { kind: 'eq', value: jsonOfArgument(token) } as const;
  return plan(
    keys.map((key) => ({ kind: 'delete', key, condition }) as const),
    (results) => integer(results.filter((result) => result === ':1').length),
  );
};

export const knownScripts = {
  release: releases(whether),
  'release, true': releases(trueOrNil),
  'release or missing': releasesOrMisses,
  touch: touches,
  'touch or set': touchesOrSets(whether),
  'touch or set, true': touchesOrSets(trueOrNil),
  extend: extendsIt,
  acquire: acquires,
  reset: resets,
  'release each': releasesEach,
} as const satisfies Record<string, KnownScript>;

/** By the SHA-1 of the normalised text. */
export const scriptShas: Readonly<Record<string, keyof typeof knownScripts>> = {
  // redsync 4
  '7993caa3740134efbd5ac97c8695f767f80951db': 'release or missing',
  '093198007cadcfa2b840a96c0c99c7729de3bfa0': 'touch or set',
  eab2bb9c2bd5ff466b3bf28d23e0a6be0b63e807: 'touch',
  // redis-py
  '16d4f25a8b1272dc33002e333ca708ee3f94da4e': 'release',
  bce326b8a0b21cc21af307b604335bbdd4e6ad86: 'extend',
  b57b48d5536ae982a91ca9929e89a43a617db101: 'touch',
  // redlock 4, 5 (npm)
  edd4ddecf1460b13c093d7cb4fd999c17d3d76d8: 'acquire',
  ad59565c53ba1d8128343d84e98a5aaca5739479: 'reset',
  '872463717b9d8763339c3b80e81ba68c1dbb28c2': 'release each',
  // Spring RedisLockRegistry
  '140cfb3ca1cd0d05156cfd075bc3df5af74a712d': 'touch or set, true',
  '9cc554c263f9c4a64a1201fe4a548dfb70af9340': 'release, true',
  // Redis' own documentation
  '278b7fc39f087c6276c7b7c08962022c4fe73ba6': 'release',
};

/** No script that is known is longer. */
const sourceBytesMax = 2048;
/** By the SHA-1 of the text as it was sent. */
const seen = new Map<string, KnownScript | undefined>();
const seenMax = 1000;

/** Returns what a script does, if it is known. */
export function knownScript(sha: string, source: string): KnownScript | undefined {
  if (source.length > sourceBytesMax) return undefined;
  if (seen.has(sha)) return seen.get(sha);
  const name = scriptShas[shaOf(normalisedScript(source))];
  const known = name === undefined ? undefined : knownScripts[name];
  if (seen.size >= seenMax) seen.clear();
  seen.set(sha, known);
  return known;
}
