/** `dragonlock usage`: what the account has stored, beside what it may store. */
import type { Usage } from '../client/usage.ts';
import type { Run } from './command-spec.ts';

export const showUsage: Run = async (invocation, { options }) => {
  if (options['recount'] === true) return (await import('./recount.ts')).recount(invocation, options);
  const { json, terminal } = invocation;
  const usage = await (await invocation.client()).usage();
  if (json) terminal.json(wireUsage(usage));
  else terminal.table(['WHAT', 'USED', 'LIMIT'], rowsOf(usage));
  if (usage.deleting === true && !json) terminal.errorLine('The account is being deleted: this is left of it.');
};

function rowsOf({ bytes, entries, waiters, watchers, limits }: Usage): string[][] {
  const { ids = 0, messages = 0, tasks = 0 } = entries;
  const all = Object.values(entries).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(entries).filter(([name]) => name !== 'messages' && name !== 'tasks');
  return [
    row('bytes', bytes, limits.bytes),
    row('entries', all - ids, limits.entries),
    ...kinds.map(([name, count]) => row(`  ${name}`, count)),
    row('messages', messages, limits.messages),
    row('tasks', tasks, limits.tasks),
    row('waiters', waiters, limits.waiters),
    row('watchers', watchers, limits.watchers),
  ];
}

function row(what: string, used: number, limit = 0): string[] {
  return [what, String(used), limit === 0 ? '' : String(limit)];
}

function wireUsage({ bytes, entries, deleting, waiters, watchers, limits, rev }: Usage): object {
  const Limits = {
    Bytes: limits.bytes,
    Entries: limits.entries,
    Messages: limits.messages,
    Tasks: limits.tasks,
    Waiters: limits.waiters,
    Watchers: limits.watchers,
    RequestsPerSecond: limits.requestsPerSecond,
  };
  return { Bytes: bytes, Entries: entries, Deleting: deleting, Waiters: waiters, Watchers: watchers, Limits, Rev: rev };
}
