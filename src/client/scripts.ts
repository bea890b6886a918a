/** Scripts: functions that the server runs beside its data. What a call does is committed as one guarded batch. */
import { ttlMsMax } from '../shared/limits.ts';
import { showCallers } from './caller.ts';
import { keyName, scriptName } from './call-names.ts';
import { anId, anInteger, durationMs, gotText, invalid, type Duration } from './checks.ts';
import { checkJson } from './json-values.ts';
import { checkListArguments, type PageOptions } from './kv.ts';
import { leavable } from './leavable.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** Options of `scripts.put` and `scripts.delete`. */
export interface ScriptChangeOptions extends CallOptions {
  /** Only if the script has this version; 0: only if there is none. Otherwise: `VersionMismatchError`. */
  readonly version?: number | undefined;
}

/** Options of `scripts.get`. */
export interface ScriptGetOptions extends CallOptions {
  /** One of the versions that are kept; by default the current one. */
  readonly version?: number | undefined;
}

/** Options of `scripts.eval`. */
export interface ScriptEvalOptions extends CallOptions {
  /** What the script will read: then it runs once. */
  readonly keys?: readonly string[] | undefined;
  /** Leases that must be held at the commit. */
  readonly guard?: readonly { readonly id: string; readonly fence: number | string }[] | undefined;
  /** Milliseconds of CPU time; default 50. */
  readonly cpu?: number | undefined;
  /** The call happens once under these ids: a retry gets the first result. */
  readonly idempotency?: { readonly ids: readonly string[]; readonly ttl?: Duration | undefined } | undefined;
}

/** Options of `scripts.call`. */
export interface ScriptCallOptions extends ScriptEvalOptions {
  /** One of the versions that are kept; by default the current one. */
  readonly version?: number | undefined;
}

/** What a call came to. */
export interface ScriptResult<Result> {
  /** What the script returned; undefined is null. */
  readonly result: Result;
  /** What the script wrote with `console.log`. */
  readonly log: readonly string[];
  /** Of the script; undefined for `eval`. */
  readonly version: number | undefined;
  /** How often it ran because others had changed what it read. */
  readonly tries: number;
  /** CPU time of its runs. */
  readonly cpuMs: number;
  /** The revision of its commit, or the one that it read at. */
  readonly rev: number;
}

/** A script with its source. */
export interface StoredScript {
  /** Under which it is called. */
  readonly name: string;
  /** The revision that stored it. */
  readonly version: number;
  /** The text of the module. */
  readonly source: string;
  /** When it was stored: milliseconds since the epoch, by the server's clock. */
  readonly at: number;
  /** Those that are kept, the current one first. */
  readonly versions: readonly number[];
}

/** A script without its source. */
export interface ScriptInfo {
  /** Under which it is called. */
  readonly name: string;
  /** The revision that stored it. */
  readonly version: number;
  /** When it was stored: milliseconds since the epoch, by the server's clock. */
  readonly at: number;
  /** Of its source. */
  readonly bytes: number;
}

const versionNames: NamesOf<ScriptChangeOptions> = { version: true, signal: true };
const evalNames: NamesOf<ScriptEvalOptions> = { keys: true, guard: true, cpu: true, idempotency: true, signal: true };
const callNames: NamesOf<ScriptCallOptions> = { ...evalNames, version: true };

/** Scripts: `client.scripts`. */
export class Scripts {
  static {
    showCallers(this, 'put', 'call', 'eval', 'get', 'delete', 'list');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** Stores a source: a module whose default export is a function `(tx, args) => result`. @returns its version */
  async put(name: string, source: string, options: ScriptChangeOptions = {}): Promise<number> {
    checkOptions(options, versionNames);
    if (typeof source !== 'string') throw invalid(`source: expected a string, got ${gotText(source)}`);
    const { version: ver, signal } = options;
    const path = pathOf(this.#account, 'script', anId(name, 'name'), { ver: versionIf(ver, 0) });
    return Number((await this.#calls.rest('PUT', path, [scriptName(name)], { signal }, source))['Version']);
  }

  /** Runs a stored script. @returns what it returned, with all that is told of the call */
  async call<Result = unknown>(
    name: string,
    args: unknown = null,
    options: ScriptCallOptions = {},
  ): Promise<ScriptResult<Result>> {
    checkOptions(options, callNames);
    const path = pathOf(this.#account, 'call', anId(name, 'name'));
    const version = versionIf(options.version, 1);
    return await this.#run(path, { ...(version !== undefined && { Version: version }) }, args, options);
  }

  /** Runs a source that is not stored. */
  async eval<Result = unknown>(
    source: string,
    args: unknown = null,
    options: ScriptEvalOptions = {},
  ): Promise<ScriptResult<Result>> {
    checkOptions(options, evalNames);
    if (typeof source !== 'string') throw invalid(`source: expected a string, got ${gotText(source)}`);
    return await this.#run(pathOf(this.#account, 'eval', undefined), { Source: source }, args, options);
  }

  /** @throws NotFoundError */
  async get(name: string, options: ScriptGetOptions = {}): Promise<StoredScript> {
    checkOptions(options, versionNames);
    const query = { version: versionIf(options.version, 1) };
    const path = pathOf(this.#account, 'script', anId(name, 'name'), query);
    const { signal } = options;
    const reply = (await this.#calls.rest('GET', path, [scriptName(name)], { signal })) as unknown as WireScript;
    const { Name, Version, Source, AtMs, Versions } = reply;
    return { name: Name, version: Version, source: Source, at: AtMs, versions: Versions };
  }

  /** Deletes all versions. @returns whether there was such a script */
  async delete(name: string, options: ScriptChangeOptions = {}): Promise<boolean> {
    checkOptions(options, versionNames);
    const { version: ver, signal } = options;
    const path = pathOf(this.#account, 'script', anId(name, 'name'), { ver: versionIf(ver, 0) });
    return (await this.#calls.rest('DELETE', path, [scriptName(name)], { signal }))['Deleted'] === true;
  }

  /** Iterates over the scripts under a prefix, in byte order of their names. Each page shows one moment. */
  list(prefix = '', options: Omit<PageOptions, 'prefix'> = {}): AsyncGenerator<ScriptInfo, void, undefined> {
    checkListArguments(prefix, options);
    return leavable(options.signal, (signal) => this.#list(prefix, { ...options, signal }));
  }

  async *#list(
    prefix: string,
    { limit, signal, ...from }: Omit<PageOptions, 'prefix'>,
  ): AsyncGenerator<ScriptInfo, void, undefined> {
    let { after } = from;
    do {
      const path = pathOf(this.#account, 'script', undefined, { prefix, after, limit });
      const page = (await this.#calls.rest('GET', path, [], { signal })) as unknown as WirePage;
      for (const { Name, Version, AtMs, Bytes } of page.Scripts)
        yield { name: Name, version: Version, at: AtMs, bytes: Bytes };
      after = page.More === true ? page.After : undefined;
    } while (after !== undefined);
  }

  async #run<Result>(
    path: string,
    head: object,
    args: unknown,
    options: ScriptEvalOptions,
  ): Promise<ScriptResult<Result>> {
    checkCallOptions({ signal: options.signal });
    const { keys = [], guard = [], cpu, idempotency, signal } = options;
    checkJson(args, 'args');
    if (!Array.isArray(keys)) throw invalid(`keys: expected an array, got ${gotText(keys)}`);
    const Keys = keys.map((key: string, i) => anId(key, `keys[${i}]`));
    const body = {
      ...head,
      Args: args,
      ...(Keys.length > 0 && { Keys }),
      ...(guard.length > 0 && { Guard: guard.map(({ id, fence }) => ({ LockID: id, Lock: fence })) }),
      ...(cpu !== undefined && { CPU: anInteger(cpu, 'cpu', 1) }),
      ...(idempotency !== undefined && idsOf(idempotency)),
    };
    // With ids of its own a call can be sent again as it is.
    const how = idempotency === undefined ? { signal } : { signal, id: '' };
    const reply = await this.#calls.rest('POST', path, Keys.map(keyName), how, body);
    const { Result, Log, Version, Tries, CPUMs, Rev } = reply as unknown as WireResult<Result>;
    return { result: Result, log: Log, version: Version, tries: Tries, cpuMs: CPUMs, rev: Rev };
  }
}

function versionIf(version: number | undefined, min: number): number | undefined {
  return version === undefined ? undefined : anInteger(version, 'version', min);
}

function idsOf({ ids, ttl }: NonNullable<ScriptEvalOptions['idempotency']>): object {
  if (!Array.isArray(ids) || ids.length === 0) throw invalid('idempotency.ids: expected an array with at least one id');
  return {
    IdempotencyIDs: ids.map((id: string, i) => anId(id, `idempotency.ids[${i}]`)),
    ...(ttl !== undefined && {
      IdempotencyTTL: durationMs(ttl, 'idempotency.ttl', { min: 1, max: ttlMsMax }) / 1000,
    }),
  };
}

interface WireScript {
  readonly Name: string;
  readonly Version: number;
  readonly Source: string;
  readonly AtMs: number;
  readonly Versions: readonly number[];
}

interface WirePage {
  readonly Scripts: readonly {
    readonly Name: string;
    readonly Version: number;
    readonly AtMs: number;
    readonly Bytes: number;
  }[];
  readonly More?: boolean;
  readonly After?: string;
}

interface WireResult<Result> {
  readonly Result: Result;
  readonly Log: readonly string[];
  readonly Version?: number;
  readonly Tries: number;
  readonly CPUMs: number;
  readonly Rev: number;
}
