/**
 * What crosses the border of the virtual machine, as one text each way (prelude.ts has the other side):
 *
 *   in    [seed, now, {key: [value, version]}, args]    JSON; an entry that is missing in the store is []
 *   out   notes, then at most one of
 *           name NUL b NUL c NUL a                      a call, whose answer the script waits for; `a` may hold anything
 *           =result                                     JSON: the run has ended
 *         where a note is  +name NUL a NUL b NUL        a call that has no answer
 */
import { assert } from '../../shared/assert.ts';
import type { ScriptRun } from '../script-run.ts';

/** What the script's side calls. */
export interface HostCalls {
  call(name: string, a: string, b: string | undefined, c: string | undefined): string | undefined;
}

export type RunGiven = Pick<ScriptRun, 'args' | 'seed' | 'now' | 'reads'>;

/** Entries that are larger stay outside until the script asks for them. */
const entriesLengthMax = 16 * 1024;
const nul = '\0';

export function givenText({ args, seed, now, reads }: RunGiven): string {
  return `[${seed},${now},${entriesText(reads.entries)},${args}]`;
}

function entriesText(entries: RunGiven['reads']['entries']): string {
  let text = '';
  for (const key in entries) {
    const entry = entries[key];
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:`;
    text += entry === null || entry === undefined ? '[]' : `[${entry.value},${entry.version}]`;
    if (text.length > entriesLengthMax) return '{}';
  }
  return `{${text}}`;
}

/** @returns the answer to the call, or the result */
export function hear(text: string, host: HostCalls): string | undefined {
  let at = 0;
  const next = (): string => {
    const end = text.indexOf(nul, at);
    assert(end >= 0, 'what a machine tells has its form');
    const part = text.slice(at, end);
    at = end + 1;
    return part;
  };
  while (text[at] === '+') {
    at += 1;
    const [name, a, b] = [next(), next(), next()];
    host.call(name, a, given(b), undefined);
  }
  if (at === text.length) return undefined;
  if (text[at] === '=') return text.slice(at + 1);
  const [name, b, c] = [next(), next(), next()];
  const a = text.slice(at);
  if (name !== 'fault') return host.call(name, a, given(b), given(c));
  const [, first = '', second = ''] = /^(\d+) (\d+) /.exec(a)!;
  const names = a.slice(first.length + second.length + 2);
  const message = Number(first) + Number(second);
  return host.call(name, names.slice(0, Number(first)), names.slice(Number(first), message), names.slice(message));
}

/** JSON is never empty. */
function given(text: string): string | undefined {
  return text === '' ? undefined : text;
}
