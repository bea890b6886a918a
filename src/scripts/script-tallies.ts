/**
 * What calls of each stored script have come to through one front end, for administrators: since its start, of the scripts
 * that were called last. Calls by tasks are in none: a task shows how its runs went.
 */
import { isFailure, type Reply } from '../protocol/replies.ts';

/** Of one account; whoever calls many does not push out those of others. */
const scriptsMax = 32;
const accountsMax = 128;
const errorCharsMax = 300;

export interface ScriptTally {
  readonly script: string;
  calls: number;
  /** `tx.fail` was called. */
  refused: number;
  /** Threw, took too long, or was killed. */
  failed: number;
  cpuMs: number;
  lastError: string | undefined;
  /** Milliseconds since the epoch. */
  lastErrorMs: number;
}

export class ScriptTallies {
  /** Those called last are last, in both. */
  readonly #accounts = new Map<string, Map<string, ScriptTally>>();

  /** @param now milliseconds since the epoch */
  // oxlint-disable-next-line max-params -- what a call came to has so many parts
  add(account: string, script: string, reply: Reply, cpuMs: number, now: number): void {
    const scripts = latest(this.#accounts, account, accountsMax, () => new Map<string, ScriptTally>());
    const tally = latest(scripts, script, scriptsMax, () => newTally(script));
    tally.calls += 1;
    tally.cpuMs += cpuMs;
    const { outcome, body } = reply;
    if (outcome === 'script_refused') tally.refused += 1;
    if (!isFailure(outcome) || (outcome !== 'script_failed' && outcome !== 'script_timeout')) return;
    tally.failed += 1;
    tally.lastError = (JSON.parse(body) as { readonly Message: string }).Message.slice(0, errorCharsMax).toWellFormed();
    tally.lastErrorMs = now;
  }

  of(account: string): ScriptTally[] {
    return [...(this.#accounts.get(account)?.values() ?? [])];
  }
}

/** Of several front ends. */
export function sumOfTallies(all: readonly ScriptTally[]): ScriptTally[] {
  const sums = new Map<string, ScriptTally>();
  for (const tally of all) {
    const sum = sums.get(tally.script) ?? newTally(tally.script);
    sums.set(tally.script, sum);
    for (const count of ['calls', 'refused', 'failed', 'cpuMs'] as const) sum[count] += tally[count];
    if (tally.lastErrorMs <= sum.lastErrorMs) continue;
    sum.lastErrorMs = tally.lastErrorMs;
    sum.lastError = tally.lastError;
  }
  return [...sums.values()];
}

function newTally(script: string): ScriptTally {
  return { script, calls: 0, refused: 0, failed: 0, cpuMs: 0, lastError: undefined, lastErrorMs: 0 };
}

/** Moves an entry to the end, or makes it in the place of the first one. */
// oxlint-disable-next-line max-params -- a map, its key, its size and a new entry
function latest<Value>(all: Map<string, Value>, key: string, most: number, make: () => Value): Value {
  const value = all.get(key) ?? make();
  if (!all.delete(key) && all.size >= most) all.delete(all.keys().next().value!);
  all.set(key, value);
  return value;
}
