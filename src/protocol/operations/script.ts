/**
 * Stored scripts: source texts, each with its last versions. A version is the revision of the commit that stored it.
 * They are compiled and run beside the shards (src/scripts); a shard only keeps them.
 */
import { scriptSourceBytesMax, scriptVersionsMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';
import { refuse, refuseField } from '../refusal.ts';
import { call, integerParameter } from './call.ts';
import type { CommandSpec, PageRequest } from './command.ts';
import { pageOf, pageParameters } from './kv-pages.ts';
import { singleSection } from './section.ts';

export interface ScriptChange {
  readonly key: string;
  /** Absent: delete. */
  readonly source?: string;
  /** 0: only if there is no such script. */
  readonly version?: number;
}

export type ScriptChangeResult = 'stored' | 'deleted' | 'missing';

/** It has REST calls and no member in the body of `POST /db/:acc`: a source is compiled before it is stored. */
export const scriptSection = singleSection<ScriptChange, ScriptChangeResult>({
  // Names the parameter that fails when the version is another.
  body: 'ver',
  schema: {},
  key: ({ key }) => key,
  effect: ({ source }) => (source === undefined ? 'free' : 'write'),
  scope: () => 'script',
  read: () => undefined,
});

/** As stored. The source of the current version has the revision of the entry. */
export interface StoredScript {
  readonly AtMs: number;
  readonly Source: string;
  /** The newest first. */
  readonly Older: readonly OlderScript[];
}

export interface OlderScript {
  readonly Version: number;
  readonly AtMs: number;
  readonly Source: string;
}

/** Reads what an export has of a script. @throws Refusal */
export function readStoredScript(value: unknown, path: string): StoredScript {
  const [AtMs, Source] = versionIn(value, path);
  const { Older = [] } = value as { readonly Older?: unknown };
  if (!Array.isArray(Older) || Older.length >= scriptVersionsMax)
    return refuseField(`${path}.Older`, `expected a list of at most ${scriptVersionsMax - 1} older versions`);
  const older = Older.map((one: unknown, i): OlderScript => {
    const [at, source] = versionIn(one, `${path}.Older[${i}]`);
    const { Version } = one as { readonly Version?: unknown };
    if (!isCount(Version)) return refuseField(`${path}.Older[${i}].Version`, 'expected a version');
    return { Version, AtMs: at, Source: source };
  });
  return { AtMs, Source, Older: older };
}

function versionIn(value: unknown, path: string): readonly [atMs: number, source: string] {
  if (typeof value !== 'object' || value === null) return refuseField(path, 'expected {"AtMs","Source"}');
  const { AtMs, Source } = value as { readonly AtMs?: unknown; readonly Source?: unknown };
  if (!isCount(AtMs)) return refuseField(`${path}.AtMs`, 'expected milliseconds since the epoch');
  if (typeof Source !== 'string') return refuseField(`${path}.Source`, 'expected a string');
  return [AtMs, checkSource(Source, `${path}.Source`)];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** @throws Refusal */
export function checkSource(source: string, path: string): string {
  const bytes = Buffer.byteLength(source);
  if (bytes > scriptSourceBytesMax)
    return refuse('too_large', `${path}: ${bytes} bytes of source; expected at most ${scriptSourceBytesMax}`);
  if (!source.isWellFormed()) return refuseField(path, 'expected well-formed Unicode, got a lone surrogate');
  return source;
}

/** One version with its source. */
export interface ScriptGet {
  readonly kind: 'script.get';
  readonly account: AccountId;
  readonly id: string;
  /** Absent: the current one. */
  readonly version?: number;
  /** The reply leaves out the source of this version, which the one who asks has. */
  readonly known?: number;
}

export interface ScriptsList extends PageRequest {
  readonly kind: 'script.list';
}

export const scriptGet = {
  scope: () => 'read',
  keys: ({ id }) => [id],
} as const satisfies CommandSpec<ScriptGet>;

export const scriptList = {
  scope: () => 'read',
  prefix: ({ prefix }) => prefix,
  list: 'Scripts',
} as const satisfies CommandSpec<ScriptsList>;

/** What a script answers, kept with the idempotency ids of its call. Front ends add it. */
export interface AnswerOperation {
  /** One of the idempotency ids. */
  readonly key: string;
  /** The members of the reply but `Rev`, as JSON text with a comma after each. */
  readonly members: string;
}

export const answerSection = singleSection<AnswerOperation, string>({
  body: 'answer',
  schema: {},
  key: ({ key }) => key,
  effect: () => 'write',
  scope: () => 'condition',
  read: () => undefined,
});

/** A page of keys that must be the same still: these keys with these versions, and no other. */
export interface SameOperation {
  readonly prefix: string;
  readonly after?: string;
  /** The last key of the page; absent: nothing follows it. */
  readonly last?: string;
  readonly rows: readonly (readonly [key: string, version: number])[];
}

/** It has no member in the body of `POST /db/:acc`: a script's lists are checked by it. */
export const sameSection = singleSection<readonly SameOperation[], never>({
  body: 'Same',
  schema: {},
  key: () => '',
  prefix: commonPrefix,
  effect: () => 'read',
  scope: () => 'condition',
  read: () => undefined,
});

/** What all of their prefixes begin with: a transaction holds all below it. */
export function commonPrefix(pages: readonly Pick<SameOperation, 'prefix'>[]): string {
  return pages
    .map(({ prefix }) => prefix)
    .reduce((common, prefix) => {
      let length = 0;
      while (length < common.length && common.charCodeAt(length) === prefix.charCodeAt(length)) length += 1;
      return common.slice(0, length);
    });
}

export const scriptCalls = {
  'script.list': call({
    method: 'GET',
    path: 'script',
    summary: 'List scripts below a prefix, without their sources',
    query: pageParameters,
    command: (given) => ({ kind: 'script.list', ...pageOf(given) }) as const,
  }),
  'script.get': call({
    method: 'GET',
    path: 'script/*',
    summary: 'Read a script',
    query: { version: integerParameter(1) },
    command: ({ account, id, query: { version } }) =>
      ({ kind: 'script.get', account, id, ...(version !== undefined && { version }) }) as const,
  }),
  'script.put': call({
    method: 'PUT',
    path: 'script/*',
    summary: `Store a script; its last ${scriptVersionsMax} versions are kept`,
    query: { ver: integerParameter(0) },
    body: 'source',
    command: ({ account, id, query: { ver }, value }) => {
      const script: ScriptChange = { key: id, source: value, ...(ver !== undefined && { version: ver }) };
      return { kind: 'batch', account, format: 'script.put', script } as const;
    },
  }),
  'script.delete': call({
    method: 'DELETE',
    path: 'script/*',
    summary: 'Delete a script with all its versions',
    query: { ver: integerParameter(0) },
    command: ({ account, id, query: { ver } }) => {
      const script: ScriptChange = { key: id, ...(ver !== undefined && { version: ver }) };
      return { kind: 'batch', account, format: 'script.delete', script } as const;
    },
  }),
} as const;
