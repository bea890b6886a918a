/**
 * Refuses options that do not exist, with the name that was meant. An option that is ignored without a word can cost
 * what it should have protected: with `{ dur: 5 }` a lock would have the default ttl.
 */
import { nearestName } from '../shared/closest-name.ts';
import { gotText, invalid } from './checks.ts';

/** The names of all options, so that the compiler misses none. */
export type NamesOf<Options> = { readonly [Name in keyof Required<Options>]: true };

/** Names in other libraries and on the wire, for what has another name here. */
const foreign: Readonly<Record<string, readonly string[]>> = {
  ttl: ['dur', 'duration', 'ex', 'px', 'expire', 'expires', 'expiry', 'expiresin', 'lease', 'leasetime', 'lockdur'],
  wait: ['timeout', 'waittimeout', 'acquiretimeout', 'maxwait', 'lockwait', 'patience', 'block'],
  signal: ['abort', 'abortsignal', 'stop'],
  fence: ['lock', 'token', 'fencingtoken', 'unlock'],
  owner: ['lockowner'],
  meta: ['metadata', 'info', 'lockmeta'],
  id: ['key', 'name', 'lockid', 'unlockid'],
  key: ['id', 'name'],
  version: ['ver', 'nx', 'cas', 'ifversion', 'previous', 'rev'],
  value: ['val', 'data', 'body'],
  delete: ['del', 'remove'],
  add: ['incr', 'increment', 'incrby'],
  limit: ['count', 'pagesize'],
  after: ['cursor', 'startafter', 'from', 'rev'],
  guard: ['guards', 'locks'],
  rate: ['max', 'points', 'tokens', 'requests'],
  per: ['window', 'interval', 'period', 'duration'],
  burst: ['capacity', 'size', 'maxburst'],
  cost: ['amount', 'weight', 'count', 'n'],
  get: ['kvget', 'read'],
  set: ['kvset', 'put', 'write'],
  check: ['checks', 'if'],
  atomic: ['counter', 'counters'],
  idempotency: ['idempotencyids', 'idempotencykey'],
  url: ['host', 'server', 'endpoint', 'address', 'baseurl', 'uri'],
  account: ['acc', 'namespace', 'tenant'],
  token: ['password', 'auth', 'apikey'],
  retryWrites: ['retry', 'retries', 'idempotent'],
  connections: ['pool', 'poolsize', 'maxconnections'],
  releaseOnSignals: ['releaseonexit', 'handlesignals'],
};

/** The mistake in the options, or in an operation of a batch; undefined if there is none. */
export function optionFault(options: unknown, names: Readonly<Record<string, true>>): string | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    return `expected an object with ${Object.keys(names).join(', ')}, got ${gotText(options)}`;
  }
  for (const name of Object.keys(options)) if (!Object.hasOwn(names, name)) return unknownOption(name, names);
  const { signal } = options as { signal?: unknown };
  if (signal === undefined || !Object.hasOwn(names, 'signal') || isSignal(signal)) return undefined;
  return `signal: expected an AbortSignal, got ${gotText(signal)}`;
}

/** @param place of the options in the call: `set[0]`; empty: they are the options of the call. @throws InvalidError */
export function checkOptions(options: unknown, names: Readonly<Record<string, true>>, place = ''): void {
  const fault = optionFault(options, names);
  if (fault === undefined) return;
  const isWhole = typeof options !== 'object' || options === null || Array.isArray(options);
  throw invalid(place === '' ? (isWhole ? `options: ${fault}` : fault) : `${place}: ${fault}`);
}

/** Checks a list of a batch. @throws InvalidError */
export function checkList(list: unknown, place: string): void {
  if (list !== undefined && !Array.isArray(list)) throw invalid(`${place}: expected an array, got ${gotText(list)}`);
}

function unknownOption(name: string, names: Readonly<Record<string, true>>): string {
  const known = Object.keys(names);
  const meant =
    known.find((other) => foreign[other]?.includes(name.toLowerCase().replaceAll(/[-_]/g, ''))) ??
    nearestName(name, known);
  const hint = meant === undefined ? `expected one of ${known.join(', ')}` : `did you mean ${JSON.stringify(meant)}?`;
  return `unknown option ${JSON.stringify(name.slice(0, 80))}; ${hint}`;
}

function isSignal(value: unknown): boolean {
  return value instanceof AbortSignal || (typeof value === 'object' && value !== null && 'aborted' in value);
}
