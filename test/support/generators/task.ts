/** Tasks: few names, so that they are replaced, cancelled and made again. */
import type { Habits } from './habits.ts';
import { defaultRetry, taskStates, type TaskOperation } from '../../../src/protocol/operations/task-definition.ts';
import { flowEntryKey } from '../../../src/protocol/operations/task-setting.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export function makeTask(h: Habits, key = h.name('task')): TaskOperation {
  const how = h.below(4);
  const replace = h.chance(60);
  return {
    key,
    definition: {
      target: { kind: 'queue', queue: h.name('queue'), data: h.value(), ...(h.chance(20) && { group: 'g' }) },
      ...(how === 0 && { schedule: { everyMs: h.one([1000, 60_000]) } }),
      retry: defaultRetry,
      misfire: 'latest',
      ...(how === 0 && h.chance(20) && { untilMs: h.one([1, 4_000_000_000_000]) }),
    },
    ...(how === 1 && { atMs: h.one([1, 2_000_000_000_000]) }),
    ...(how > 1 && { delayMs: h.one([0, 500, 5000]) }),
    replace,
    ...(replace && h.chance(30) && { version: h.chance(50) ? 0 : h.knownTask(key) }),
  };
}

export const task = {
  'task.create': (h: Habits): Command => {
    return { kind: 'batch', account: h.account, format: 'task.create', tasks: [makeTask(h)] };
  },
  'task.batch': (h: Habits): Command => ({
    kind: 'batch',
    account: h.account,
    format: 'batch',
    ...(h.chance(60) && { taskCancel: [{ key: h.name('task') }] }),
    tasks: [...new Set(h.some('task', 2))].map((key) => makeTask(h, key)),
  }),
  'task.cancel': (h: Habits): Command => {
    const key = h.name('task');
    const cancel = { key, ...(h.chance(50) && { version: h.chance(30) ? 1 : h.knownTask(key) }) };
    return { kind: 'batch', account: h.account, format: 'task.cancel', taskCancel: [cancel] };
  },
  'task.change': (h: Habits): Command => {
    const change = h.one(['pause', 'resume', 'run'] as const);
    return { kind: 'batch', account: h.account, format: `task.${change}`, taskChange: { key: h.name('task'), change } };
  },
  'flow.set': (h: Habits): Command => {
    const flow = {
      ...(h.chance(60) && { rate: h.one([0.5, 10]) }),
      perMs: 1000,
      ...(h.chance(40) && { parallel: 1 + h.below(3) }),
      paused: h.chance(20),
    };
    const taskSetting = { key: flowEntryKey(h.name('task')), change: 'flow.set', flow } as const;
    return { kind: 'batch', account: h.account, format: 'flow.set', taskSetting };
  },
  'flow.delete': (h: Habits): Command => {
    const taskSetting = { key: flowEntryKey(h.name('task')), change: 'flow.delete' } as const;
    return { kind: 'batch', account: h.account, format: 'flow.delete', taskSetting };
  },
  'flow.get': (h: Habits): Command => ({ kind: 'flow.get', account: h.account, id: h.name('task') }),
  'task.get': (h: Habits): Command => ({ kind: 'task.get', account: h.account, id: h.name('task') }),
  'task.list': (h: Habits): Command => ({
    kind: 'task.list',
    account: h.account,
    prefix: h.one(['', 't']),
    limit: 1 + h.below(3),
    ...(h.chance(30) && { after: h.name('task') }),
    ...(h.chance(30) && { state: h.one(taskStates) }),
  }),
};
