/** `POST /watch/:acc`: watches one key, several keys, a lock, or all below a prefix. The member that is present decides. */
import { type AccountId, revision } from '../../../protocol/ids.ts';
import type { PrefixWatch, WatchedKey } from '../../../router/dispatcher.ts';
import { pageLimitDefault, watchWaitMsDefault, type Limits } from '../../../shared/limits.ts';
import { writeOutLists } from './batch.ts';
import { isRecord, parseJson } from './json.ts';
import { refuseRepeatedMembers, valueMembers } from './repeated-members.ts';
import { validator } from './validate.ts';
import { watchKeyBody, watchKeysBody, watchLockBody, watchPrefixBody } from '../../../protocol/operations/watch.ts';
import { readInteger, readKey, secondsToMs, readPrefix } from '../../../protocol/operations/fields.ts';
import { refuse } from '../../../protocol/refusal.ts';

export type WatchAsk =
  | { readonly kind: 'keys'; readonly keys: readonly WatchedKey[]; readonly waitMs: number }
  | { readonly kind: 'prefix'; readonly watch: PrefixWatch };

const checkKey = validator(watchKeyBody);
const checkKeys = validator(watchKeysBody);
const checkPrefix = validator(watchPrefixBody);
const checkLock = validator(watchLockBody);
const forms = ['ID', 'IDs', 'Prefix', 'LockID'];
const noValues = valueMembers([]);

/** Parses the body, for `watchAsk`. @throws Refusal 400 */
export function parseWatch(text: string): unknown {
  const json = parseJson(text);
  refuseRepeatedMembers(text, json, noValues);
  return json;
}

/** @throws Refusal */
export function watchAsk(json: unknown, account: AccountId, limits: Limits): WatchAsk {
  const given = isRecord(json) ? forms.filter((name) => Object.hasOwn(json, name)) : [];
  if (given.length !== 1) {
    const got = given.length === 0 ? 'none' : given.join(' and ');
    return refuse('invalid', `body: expected an object with exactly one of ID, IDs, Prefix, LockID; got ${got}`);
  }
  if (given[0] === 'Prefix') return { kind: 'prefix', watch: prefixWatch(json, account) };
  if (given[0] === 'LockID') return oneLock(json);
  return given[0] === 'ID' ? oneKey(json) : severalKeys(json, limits);
}

function waitMs(wait: number | undefined): number {
  return wait === undefined ? watchWaitMsDefault : secondsToMs(wait);
}

function oneKey(json: unknown): WatchAsk {
  const body = checkKey(json);
  return {
    kind: 'keys',
    keys: [{ key: readKey(body.ID, 'ID'), version: readInteger(body.Version ?? 0) }],
    waitMs: waitMs(body.Wait),
  };
}

function oneLock(json: unknown): WatchAsk {
  const body = checkLock(json);
  const watched = { key: readKey(body.LockID, 'LockID'), version: readInteger(body.Version ?? 0), lock: true } as const;
  return { kind: 'keys', keys: [watched], waitMs: waitMs(body.Wait) };
}

const idLists: ReadonlySet<string> = new Set(['IDs']);

function severalKeys(json: unknown, limits: Limits): WatchAsk {
  writeOutLists(json, idLists);
  const body = checkKeys(json);
  if (body.IDs.length > limits.batch_operations_max) {
    const most = `${limits.batch_operations_max} (limits.batch_operations_max)`;
    return refuse('too_large', `IDs: ${body.IDs.length} keys; expected at most ${most}`);
  }
  const keys = body.IDs.map((item, i) => ({
    key: readKey(item.ID, `IDs[${i}].ID`),
    version: readInteger(item.Version ?? 0),
  }));
  return { kind: 'keys', keys, waitMs: waitMs(body.Wait) };
}

function prefixWatch(json: unknown, account: AccountId): PrefixWatch {
  const body = checkPrefix(json);
  return {
    account,
    prefix: readPrefix(body.Prefix, 'Prefix'),
    ...(body.After !== undefined && { after: revision(readInteger(body.After)) }),
    waitMs: waitMs(body.Wait),
    limit: body.Limit ?? pageLimitDefault,
  };
}
