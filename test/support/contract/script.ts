/** Stored scripts: the last versions of each, and pages of keys that must be the same still. */
import { done, refuse, type Moment, type Outcome, type Performed, type Turn } from './moment.ts';
import { keyAt } from './kv.ts';
import { page } from './page.ts';
import { compareUtf8, nameOf, type ScriptEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { SameOperation, ScriptGet, ScriptsList } from '../../../src/protocol/operations/script.ts';

const versionsKept = 10;

function scriptAt(at: Moment, account: string, key: string): ScriptEntry | undefined {
  return at.state.get(nameOf('script', account, key)) as ScriptEntry | undefined;
}

export const script = {
  perform(turn: Turn, { script: change, answer }: Batch): Performed {
    const { at, account, changes } = turn;
    // The answer of a script's call is nothing that a client of these histories asks for.
    if (change === undefined) return { members: answer === undefined ? {} : { answer } };
    const { key, source, version } = change;
    const before = scriptAt(at, account, key)?.versions ?? [];
    const Version = before[0]?.version ?? 0;
    if (version !== undefined && version !== Version) turn.fail('ver', 'version_mismatch', { Name: key, Version });
    const name = nameOf('script', account, key);
    if (source === undefined) {
      if (before.length > 0) changes.set(name, undefined);
      return { reply: { Name: key, Deleted: before.length > 0 } };
    }
    const versions = [{ version: at.rev, at: at.now, source }, ...before].slice(0, versionsKept);
    changes.set(name, { versions });
    return { reply: { Name: key, Version: at.rev } };
  },

  commands: {
    'script.get': (at: Moment, { account, id, version, known }: ScriptGet): Outcome => {
      const versions = scriptAt(at, account, id)?.versions;
      if (versions === undefined) return refuse('not_found');
      const Versions = versions.map((one) => one.version);
      const found = versions.find((one) => one.version === (version ?? Versions[0]));
      if (found === undefined) return refuse('not_found', { Versions });
      const head = { Name: id, Version: found.version };
      if (found.version === known) return done(at, head);
      return done(at, { ...head, Source: found.source, AtMs: found.at, Versions });
    },
    'script.list': (at: Moment, call: ScriptsList): Outcome =>
      page(at, call, (key) => {
        const [newest] = scriptAt(at, call.account, key)!.versions;
        const { version, source, at: AtMs } = newest!;
        return { Name: key, Version: version, AtMs, Bytes: Buffer.byteLength(source) };
      }),
  },
};

/** The condition `same`: behind those of `check`, in front of those of `set`. */
export function expectSame(turn: Turn, pages: readonly SameOperation[]): void {
  const { at, account } = turn;
  const otherIn = ({ prefix, after, last, rows }: SameOperation): string | undefined => {
    const there = [...at.state.keys('kv', account, prefix, after)].flatMap((key) => {
      const entry = keyAt(at, account, key);
      const isBehind = last !== undefined && compareUtf8(key, last) > 0;
      return entry === undefined || isBehind ? [] : [[key, entry.version]];
    });
    const i = [...there, undefined].findIndex((row, at) => JSON.stringify(row) !== JSON.stringify(rows[at]));
    const [is, was] = [there[i]?.[0], rows[i]?.[0]] as (string | undefined)[];
    return is === undefined || (was !== undefined && compareUtf8(was, is) < 0) ? was : is;
  };
  const others = pages.flatMap((page) => otherIn(page) ?? []);
  // Each shard names the first key of its own that is another.
  const told = (at.said?.Failed ?? []).filter(({ Field }) => Field === 'Same');
  const isTold = others.length > 0 && told.every(({ Key }) => Key !== undefined);
  if (isTold && told.length > 0) for (const { Key } of told) turn.fail('Same', 'version_mismatch', { Key });
  else for (const Key of others) turn.fail('Same', 'version_mismatch', { Key });
}
