/** Stored scripts, and what their calls need of a commit: that pages of keys are the same, and the answer to keep. */
import { hasLapsed } from '../../../protocol/entries.ts';
import { failure } from '../../../protocol/errors.ts';
import type { Page } from '../../../protocol/page-rows.ts';
import type {
  OlderScript,
  SameOperation,
  ScriptGet,
  ScriptsList,
  StoredScript,
} from '../../../protocol/operations/script.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { scriptPageMax, scriptVersionsMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { pageOfEntries } from './list.ts';

export const scriptBehaviour: SectionBehaviour<'script'> = {
  check(evaluation, { key, version }) {
    if (version === undefined) return;
    const is = evaluation.entry(kinds.script, key)?.rev ?? 0;
    if (is === version) return;
    const found = is === 0 ? 'does not exist' : `has version ${is}`;
    const was = version === 0 ? 'it must not exist' : `version ${version} was expected`;
    const message = `The script ${JSON.stringify(key)} ${found}; ${was}.`;
    evaluation.fail(failure('version_mismatch', message, { Name: key, Version: is }));
  },
  evaluate(evaluation, { key, source }) {
    const { writeSet, now } = evaluation;
    const before = evaluation.entry(kinds.script, key);
    if (source === undefined) {
      if (before !== undefined) writeSet.put({ kind: kinds.script, key, till: 0 });
      return before === undefined ? 'missing' : 'deleted';
    }
    const older = before === undefined ? [] : olderBehind(JSON.parse(before.value) as StoredScript, before.rev);
    writeSet.put({
      kind: kinds.script,
      key,
      till: 0,
      value: storedScript({ AtMs: now, Source: source, Older: older }),
    });
    return 'stored';
  },
};

function olderBehind({ AtMs, Source, Older }: StoredScript, version: number): readonly OlderScript[] {
  return [{ Version: version, AtMs, Source }, ...Older].slice(0, scriptVersionsMax - 1);
}

/** The bytes of the source stand in front, so that a list need not take the rest apart. */
export function storedScript({ AtMs, Source, Older }: StoredScript): string {
  return JSON.stringify({ AtMs, Bytes: Buffer.byteLength(Source), Source, Older });
}

export const scriptFormats = {
  'script.put': { members: ({ asked, rev }) => `"Name":${quoted(asked.script!.key)},"Version":${rev},` },
  'script.delete': {
    members: ({ asked, results }) =>
      `"Name":${quoted(asked.script!.key)},"Deleted":${String(results.script === 'deleted')},`,
  },
} satisfies Record<string, FormatBehaviour>;

export function getScript({ state, out }: Turn, ref: RequestRef, command: ScriptGet): void {
  out.reply(ref, scriptReply(state, command));
}

function scriptReply(state: Turn['state'], { account, id, version, known }: ScriptGet): Reply {
  const rev = readRevision(state);
  const entry = state.entries.get(kinds.script, account, id);
  if (entry === undefined) return failureReply(rev, failure('not_found', `There is no script ${quoted(id)}.`));
  const name = `{"Name":${quoted(id)},"Version":`;
  const wanted = version ?? entry.rev;
  const short = { rev, outcome: 'ok', body: `${name}${wanted},"Rev":${rev}}` } as const;
  if (wanted === known && wanted === entry.rev) return short;
  const { AtMs, Source, Older } = JSON.parse(entry.value) as StoredScript;
  const found = wanted === entry.rev ? { AtMs, Source } : Older.find(({ Version }) => Version === wanted);
  const versions = [entry.rev as number, ...Older.map(({ Version }) => Version)];
  if (found === undefined) {
    const message = `The script ${quoted(id)} has no version ${wanted}; it has ${versions.join(', ')}.`;
    return failureReply(rev, failure('not_found', message, { Versions: versions }));
  }
  if (wanted === known) return short;
  const members = `"Source":${quoted(found.Source)},"AtMs":${found.AtMs},"Versions":${JSON.stringify(versions)}`;
  return { rev, outcome: 'ok', body: `${name}${wanted},${members},"Rev":${rev}}` };
}

export function listScripts({ state }: Turn, command: ScriptsList): Page {
  const limit = Math.min(command.limit, scriptPageMax);
  return pageOfEntries(state, kinds.script, { ...command, limit }, ({ key, entry: { rev, value } }) => {
    const head = value.slice(1, value.indexOf(',"Source":'));
    return `{"Name":${JSON.stringify(key)},"Version":${rev},${head}}`;
  });
}

export const answerBehaviour: SectionBehaviour<'answer'> = {
  evaluate: (_, { members }) => members,
  members: ({ results }) => results.answer ?? '',
};

/** Looks at each page up to the first key that is another. */
export const sameBehaviour: SectionBehaviour<'same'> = {
  check(evaluation, pages) {
    for (const page of pages) {
      const moved = movedIn(evaluation, page);
      if (moved === undefined) continue;
      const message = `The keys below ${JSON.stringify(page.prefix)} have changed: ${JSON.stringify(moved)}.`;
      evaluation.fail(failure('version_mismatch', message, { Key: moved }));
    }
  },
};

/** Returns the first key of this shard that has another version, is new, or is gone. */
function movedIn(
  { state, account, now }: BatchEvaluation,
  { prefix, after, last, rows }: SameOperation,
): string | undefined {
  const own = rows.filter(([key]) => state.owns(account, key));
  let next = 0;
  for (const { key, entry } of state.entries.range(kinds.kv, account, prefix, after)) {
    if (hasLapsed(entry, now)) continue;
    const row = own[next];
    if (row === undefined && last !== undefined && isBeyond(key, last)) return undefined;
    if (row === undefined || row[0] !== key) return row === undefined || isBeyond(row[0], key) ? key : row[0];
    if (row[1] !== entry.rev) return key;
    next += 1;
    if (next === own.length && last === key) return undefined;
  }
  return own[next]?.[0];
}

/** As keys are sorted: by their bytes. */
function isBeyond(key: string, last: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(last)) > 0;
}
