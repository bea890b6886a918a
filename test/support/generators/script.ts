/** Stored scripts. */
import type { Habits } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import type { SameOperation } from '../../../src/protocol/operations/script.ts';

function versionOf(h: Habits): { version?: number } {
  return h.chance(70) ? {} : { version: h.chance(40) ? 0 : 1 + h.below(60) };
}

export const script = {
  'script.put': (h: Habits): Command => {
    const change = { key: h.name('script'), source: `export default () => ${h.value()}`, ...versionOf(h) };
    return { kind: 'batch', account: h.account, format: 'script.put', script: change };
  },
  'script.delete': (h: Habits): Command => {
    const change = { key: h.name('script'), ...versionOf(h) };
    return { kind: 'batch', account: h.account, format: 'script.delete', script: change };
  },
  'script.get': (h: Habits): Command => {
    const known = h.chance(80) ? {} : { known: 1 + h.below(60) };
    return { kind: 'script.get', account: h.account, id: h.name('script'), ...olderOf(h), ...known };
  },
  'script.list': (h: Habits): Command => ({
    kind: 'script.list',
    account: h.account,
    prefix: '',
    limit: 1 + h.below(h.limitMax),
  }),
};

function olderOf(h: Habits): { version?: number } {
  const { version } = versionOf(h);
  return version === undefined || version === 0 ? {} : { version };
}

/** Mostly pages as they are. */
export function samePages(h: Habits): SameOperation[] {
  return Array.from({ length: 1 + h.below(2) }, () => {
    const rows = h.rowsBelow(h.one(h.prefixes), 1 + h.below(4));
    if (rows.rows.length === 0 || h.chance(75)) return rows;
    const [key] = h.one(rows.rows);
    const gone = h.chance(50);
    const others = rows.rows.flatMap((row) => (row[0] !== key ? [row] : gone ? [] : [[key, row[1] + 1] as const]));
    return { ...rows, rows: others };
  });
}
