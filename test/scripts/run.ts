/** Runs scripts in tests. */
import type { ScriptOutcome, ScriptReads, ScriptRun } from '../../src/scripts/script-run.ts';
import type { ScriptMachine } from '../../src/scripts/machine/script-machine.ts';

export const noReads: ScriptReads = { entries: {}, counters: {}, lists: [] };

/** A run of this source: by default of account `acme`, with 50 ms. */
export function runOf(source: string, more: Partial<ScriptRun> = {}): ScriptRun {
  const account = more.account ?? 'acme';
  const sourceID = `${account}\0${source}`;
  return { sourceID, source, account, args: '{}', now: 1_700_000_000_123, seed: 7, cpuMs: 50, reads: noReads, ...more };
}

export async function outcomeOf(
  machine: ScriptMachine,
  source: string,
  more: Partial<ScriptRun> = {},
): Promise<ScriptOutcome> {
  const outcome = await machine.run(runOf(source, more));
  if (outcome === undefined) throw new Error('the machine wants a source that it was given');
  return outcome;
}

/** Entries with version 1. */
export function entriesOf(values: Readonly<Record<string, unknown>>): ScriptReads['entries'] {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      value === undefined ? null : { value: JSON.stringify(value), version: 1 },
    ]),
  );
}
