/**
 * The sources of stored scripts that a front end has read. Each call asks the shard which version is the current one, and
 * gets its source only if it is not known here.
 */
import { hash } from 'node:crypto';
import type { AccountId, Revision } from '../protocol/ids.ts';
import { isFailure } from '../protocol/replies.ts';
import type { CallRequests } from './call-requests.ts';
import { CallFailed, type ScriptCallRequest } from './script-call.ts';

const bytesMax = 8 * 1024 * 1024;

export interface ScriptSource {
  readonly version: number;
  readonly source: string;
  readonly sourceID: string;
}

export class ScriptSources {
  /** Those used last are last. */
  readonly #scripts = new Map<string, ScriptSource>();
  #bytes = 0;

  /** Finds the source of a call. @throws CallFailed */
  async find(request: ScriptCallRequest, requests: CallRequests): Promise<{ script: ScriptSource; rev: Revision }> {
    const { account, name, version, source = '' } = request;
    if (name === undefined)
      return { script: { version: 0, source, sourceID: sourceIDOf(account, source) }, rev: 0 as Revision };
    const before = this.#get(account, name, version);
    const asked = before === undefined ? {} : { known: before.version };
    const wanted = version === undefined ? {} : { version };
    const reply = await requests.ask({ kind: 'script.get', account, id: name, ...wanted, ...asked });
    if (isFailure(reply.outcome)) throw new CallFailed(reply);
    const { rev } = reply;
    const found = JSON.parse(reply.body) as { readonly Version: number; readonly Source?: string };
    if (found.Source === undefined) return { script: before!, rev };
    const { Version, Source } = found;
    const script = { version: Version, source: Source, sourceID: sourceIDOf(account, Source) };
    this.#add(account, name, version, script);
    return { script, rev };
  }

  #get(account: AccountId, name: string, version: number | undefined): ScriptSource | undefined {
    const place = placeOf(account, name, version);
    const script = this.#scripts.get(place);
    if (script === undefined) return undefined;
    this.#scripts.delete(place);
    this.#scripts.set(place, script);
    return script;
  }

  /** @param version that the call has named; undefined: the current one */
  // oxlint-disable-next-line max-params -- the place of a script has three parts
  #add(account: AccountId, name: string, version: number | undefined, script: ScriptSource): void {
    const place = placeOf(account, name, version);
    this.#drop(place);
    this.#scripts.set(place, script);
    this.#bytes += bytesOf(place, script);
    while (this.#bytes > bytesMax) this.#drop(this.#scripts.keys().next().value!);
  }

  #drop(place: string): void {
    const script = this.#scripts.get(place);
    if (script === undefined) return;
    this.#scripts.delete(place);
    this.#bytes -= bytesOf(place, script);
  }
}

function sourceIDOf(account: AccountId, source: string): string {
  return `${account}\0${hash('sha256', source, 'base64url')}`;
}

function placeOf(account: AccountId, name: string, version: number | undefined): string {
  return `${account}\0${name}\0${version ?? ''}`;
}

function bytesOf(place: string, { source }: ScriptSource): number {
  return 2 * (place.length + source.length) + 200;
}
