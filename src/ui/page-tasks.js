import { useState } from 'preact/hooks';
import { call, dataPath } from './api.js';
import { count, duration, exact, plural, shortened } from './format.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import {
  AccountPicker,
  Ago,
  Card,
  Confirm,
  Empty,
  Failure,
  Loaded,
  Name,
  Pager,
  Pill,
  Said,
  Table,
  useFirstAccount,
} from './parts.js';
import { chooserOf, go, lastAccount, may, useCall } from './store.js';

const pageRows = 100;
const states = ['', 'scheduled', 'running', 'paused', 'dead', 'done'];
const tones = { running: 'good', paused: 'warn', dead: 'bad' };

const choose = chooserOf('tasks');

function targetOf(task) {
  if (task.Queue !== undefined) return { kind: 'queue', text: task.Queue };
  return task.Script === undefined ? { kind: task.Method, text: task.URL } : { kind: 'script', text: task.Script };
}

function timesOf({ Cron, TZ, Every }) {
  if (Cron !== undefined) return `${Cron} ${TZ}`;
  return Every === undefined ? 'once' : `every ${duration(Every * 1000)}`;
}

export function TasksPage({ query }) {
  const { account = lastAccount(), prefix = '', after, state = '', task } = query;
  useFirstAccount(account, choose);
  const to = (change) => go('tasks', { account, prefix, after, state, task, ...change });
  const list = useCall(
    account === '' ? undefined : dataPath(account, 'task', undefined, { prefix, after, state, limit: pageRows }),
    { everyMs: 3000 },
  );
  return html`
    <div class="toolbar">
      <${AccountPicker} value=${account} onChange=${choose} />
      <label class="grow"><span class="visually-hidden">Prefix</span><input class="field mono" type="search" data-search placeholder="Tasks that begin with…"
        value=${prefix} onChange=${(event) => to({ prefix: event.target.value, after: undefined })} spellcheck=${false} /></label>
      <label><span class="visually-hidden">State</span><select class="field" value=${state} onChange=${(event) => to({ state: event.target.value, after: undefined })}>
        ${states.map((each) => html`<option key=${each} value=${each}>${each === '' ? 'in any state' : each}</option>`)}
      </select></label>
    </div>
    <div class=${task === undefined ? 'grid' : 'grid split'}>
      <${Card} title=${state === 'dead' ? 'Dead tasks' : 'Tasks'}>
        ${
          account === ''
            ? html`<${NoTasks} />`
            : html`<${Loaded} call=${list}>${({ Tasks, More, After }) => html`
          ${state === 'dead' && Tasks.length > 0 && may('write') && html`<${Redrive} account=${account} tasks=${Tasks} onDone=${list.again} />`}
          ${
            Tasks.length === 0
              ? html`<${NoTasks} state=${state} />`
              : html`<${TaskTable} tasks=${Tasks} chosen=${task} onOpen=${(row) => to({ task: row.ID })} />`
          }
          <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => to({ after: After })} onFirst=${() => to({ after: undefined })} />`}</${Loaded}>`
        }
      </${Card}>
      ${task !== undefined && html`<${TaskCard} key=${`${account}\u0000${task}`} account=${account} id=${task} onClose=${() => to({ task: undefined })} onChange=${list.again} />`}
    </div>`;
}

function NoTasks({ state = '' }) {
  return html`<${Empty} icon="tasks" title=${state === '' ? 'This account has no tasks' : `No task is ${state}`}><p>A task is a message, a request or a call of a script at a time.</p></${Empty}>`;
}

function TaskTable({ tasks, chosen, onOpen }) {
  return html`<${Table} caption="Tasks" compact=${chosen !== undefined} rows=${tasks} keyOf=${(row) => row.ID} chosen=${chosen} onOpen=${onOpen}
    columns=${[
      { label: 'Task', name: true, main: true, cell: (row) => html`<${Name} text=${row.ID} clamp />` },
      {
        label: 'State',
        main: true,
        cell: (row) => html`<${Pill} tone=${tones[row.State] ?? ''}>${row.State}</${Pill}>`,
      },
      {
        label: 'Next',
        right: true,
        main: true,
        cell: (row) => (row.NextMs === undefined ? '' : html`<${Ago} at=${row.NextMs} />`),
      },
      { label: 'Times', name: true, cell: (row) => html`<span class="small"><${Said} text=${timesOf(row)} /></span>` },
      {
        label: 'Target',
        name: true,
        cell: (row) => {
          const { kind, text } = targetOf(row);
          return html`<span><span class="small muted">${kind}</span> <${Name} text=${shortened(text, 120)} clamp /></span>`;
        },
      },
      { label: 'Runs', right: true, cell: (row) => count(row.Runs) },
      {
        label: 'Failed',
        right: true,
        cell: (row) => (row.Failed > 0 ? html`<${Pill} tone="bad">${count(row.Failed)}</${Pill}>` : ''),
      },
      {
        label: 'Last error',
        name: true,
        cell: (row) =>
          row.LastError !== undefined &&
          html`<span class="error small"><${Said} text=${shortened(row.LastError, 120)} /></span>`,
      },
    ]} />`;
}

/** Tries all dead tasks of this page again. */
function Redrive({ account, tasks, onDone }) {
  const [error, setError] = useState();
  const [told, setTold] = useState();
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setError(undefined);
    let revived = 0;
    try {
      for (const { ID } of tasks) {
        // One that somebody has cancelled meanwhile needs nothing.
        await call('POST', dataPath(account, 'run', ID)).then(
          () => (revived += 1),
          (failure) => {
            if (failure.code !== 'not_found') throw failure;
          },
        );
      }
    } catch (failure) {
      setError(failure);
    }
    setTold(`${plural(revived, 'task')} on the way again.`);
    setBusy(false);
    onDone();
  };
  return html`<div class="body stack">
    <div class="toolbar"><button class="button" disabled=${busy} onClick=${run}>Run ${tasks.length === 1 ? 'it' : `these ${count(tasks.length)}`} again</button>
    ${told !== undefined && html`<span role="status" class="muted">${told}</span>`}</div>
    <${Failure} error=${error} />
  </div>`;
}

function TaskCard({ account, id, onClose, onChange }) {
  const look = useCall(dataPath(account, 'task', id), { everyMs: 2000 });
  const [dialog, setDialog] = useState(false);
  const [error, setError] = useState();
  const run = async (noun) => {
    try {
      setError(undefined);
      await call('POST', dataPath(account, noun, id));
    } catch (failure) {
      setError(failure);
    }
    look.again();
    onChange();
  };
  const close = html`<button class="button quiet icon small" aria-label="Close" data-close onClick=${onClose}><${Icon} name="close" /></button>`;
  return html`<${Card} label="Task" title=${html`<${Name} text=${id} clamp />`} tools=${close}>
    <${Loaded} call=${look}>${(task) => html`<div class="body stack">
      <div class="toolbar">
        <${Pill} tone=${tones[task.State] ?? ''}>${task.State}</${Pill}>
        <${Pill}>${plural(task.Runs, 'run')}</${Pill}>
        ${task.Failed > 0 && html`<${Pill} tone="bad">${count(task.Failed)} failed</${Pill}>`}
        ${task.Skipped > 0 && html`<${Pill} tone="warn">${count(task.Skipped)} skipped</${Pill}>`}
      </div>
      <${Failure} error=${error} />
      ${may('write') && html`<${TaskButtons} state=${task.State} run=${run} cancel=${() => setDialog(true)} />`}
      ${task.LastError !== undefined && html`<p class="error"><${Said} text=${task.LastError} /></p>`}
      <${TaskFacts} task=${task} />
      <${Content} task=${task} />
      ${
        dialog &&
        html`<${Confirm} title="Cancel this task?" action="Cancel the task" typed=${id} onClose=${() => setDialog(false)}
        run=${async () => {
          await call('DELETE', dataPath(account, 'task', id));
          onChange();
          onClose();
        }}><p>It runs no more. What a run has begun goes on.</p></${Confirm}>`
      }
    </div>`}</${Loaded}>
  </${Card}>`;
}

function TaskButtons({ state, run, cancel }) {
  if (state === 'done') return null;
  return html`<div class="toolbar">
    <button class="button primary" onClick=${() => run('run')}>${state === 'dead' ? 'Run again' : 'Run now'}</button>
    ${state === 'paused' && html`<button class="button" onClick=${() => run('resume/task')}>Resume</button>`}
    ${(state === 'scheduled' || state === 'running') && html`<button class="button" onClick=${() => run('pause/task')}>Pause</button>`}
    <button class="button" onClick=${cancel}>Cancel…</button>
  </div>`;
}

function TaskFacts({ task }) {
  const { kind, text } = targetOf(task);
  const facts = [
    [
      'Next',
      task.NextMs !== undefined &&
        html`<${Ago} at=${task.NextMs} /> <span class="small muted">${exact(task.NextMs)}</span>`,
    ],
    ['Times', html`<${Said} text=${timesOf(task)} />`],
    ['Target', html`<span class="muted">${kind}</span> <${Name} text=${text} />`],
    ['Group', task.Group !== undefined && html`<${Name} text=${task.Group} />`],
    ['Headers', task.HeaderNames?.length > 0 && html`<${Said} text=${task.HeaderNames.join(', ')} />`],
    ['Tries', `${count(task.Attempts)} failed of this instant; ${count(task.Retry.Max)} more than the first`],
    [
      'Last run',
      task.LastStartMs !== undefined &&
        html`<${Ago} at=${task.LastStartMs} />, ${duration(task.LastEndMs - task.LastStartMs)}`,
    ],
    ['Last status', task.LastStatus],
    ['Flow', task.FlowKey !== undefined && html`<${Name} text=${task.FlowKey} />`],
    ['Results', task.ResultQueue !== undefined && html`<${Name} text=${task.ResultQueue} />`],
    ['Misfire', task.Misfire],
  ];
  return html`<dl class="facts">${facts
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([label, value]) => html`<dt key=${label}>${label}</dt><dd>${value}</dd>`)}</dl>`;
}

function Content({ task }) {
  const name = ['Data', 'Body', 'Args'].find((each) => each in task);
  if (name === undefined) return null;
  const text = JSON.stringify(task[name], undefined, 2);
  return html`<details><summary class="muted small">${name}</summary><pre class="code"><${Said} text=${shortened(text, 16_384)} /></pre></details>`;
}
