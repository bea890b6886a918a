import { useState } from 'preact/hooks';
import { call, dataPath } from './api.js';
import { bytes, count, duration, plural, shortened } from './format.js';
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
  Notice,
  Pager,
  Pill,
  Said,
  Table,
  useFirstAccount,
} from './parts.js';
import { chooserOf, go, lastAccount, may, useCall } from './store.js';

const choose = chooserOf('queues');

export function QueuesPage({ query }) {
  const { account = lastAccount(), prefix = '', after, queue } = query;
  useFirstAccount(account, choose);
  const to = (change) => go('queues', { account, prefix, after, queue, ...change });
  const list = useCall(
    account === '' ? undefined : dataPath(account, 'queue', undefined, { prefix, after, limit: 100 }),
    { everyMs: 3000 },
  );
  return html`
    <div class="toolbar">
      <${AccountPicker} value=${account} onChange=${choose} />
      <label class="grow"><span class="visually-hidden">Prefix</span><input class="field mono" type="search" data-search placeholder="Queues that begin with…"
        value=${prefix} onChange=${(event) => to({ prefix: event.target.value, after: undefined })} spellcheck=${false} /></label>
    </div>
    <div class=${queue === undefined ? 'grid' : 'grid split'}>
      <${Card} title="Queues">
        ${
          account === ''
            ? html`<${NoQueues} />`
            : html`<${Loaded} call=${list}>${({ Queues, More, After }) => html`
          ${
            Queues.length === 0
              ? html`<${NoQueues} />`
              : html`<${Table} caption="Queues" compact=${queue !== undefined} rows=${Queues} keyOf=${(row) => row.Queue} chosen=${queue} onOpen=${(row) => to({ queue: row.Queue })}
            columns=${[
              {
                label: 'Queue',
                name: true,
                main: true,
                cell: (row) =>
                  html`<${Name} text=${row.Queue} clamp /> ${row.Paused && html`<${Pill} tone="warn">paused</${Pill}>`}`,
              },
              { label: 'Ready', right: true, main: true, cell: (row) => html`<b>${count(row.Ready)}</b>` },
              { label: 'Out', right: true, cell: (row) => count(row.InFlight) },
              { label: 'Delayed', right: true, cell: (row) => count(row.Delayed) },
              {
                label: 'Dead',
                right: true,
                main: true,
                cell: (row) => (row.Dead > 0 ? html`<${Pill} tone="bad">${count(row.Dead)}</${Pill}>` : '0'),
              },
              {
                label: 'Consumers',
                right: true,
                cell: (row) =>
                  row.Consumers === 0 && row.Ready > 0
                    ? html`<${Pill} tone="warn">none wait</${Pill}>`
                    : count(row.Consumers),
              },
              {
                label: 'Oldest',
                right: true,
                cell: (row) =>
                  html`<span data-volatile>${row.Ready + row.InFlight > 0 ? duration(row.OldestMs) : '–'}</span>`,
              },
            ]} />`
          }
          <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => to({ after: After })} onFirst=${() => to({ after: undefined })} />`}</${Loaded}>`
        }
      </${Card}>
      ${queue !== undefined && html`<${QueueCard} key=${`${account}\u0000${queue}`} account=${account} name=${queue} onClose=${() => to({ queue: undefined })} onChange=${list.again} />`}
    </div>`;
}

function NoQueues() {
  return html`<${Empty} icon="queues" title="This account has no queues"><p>A queue begins with its first message.</p></${Empty}>`;
}

const states = ['ready', 'inflight', 'delayed', 'dead', 'blocked'];
const stateWords = { ready: 'Ready', inflight: 'Out', delayed: 'Delayed', dead: 'Dead', blocked: 'Blocked' };
const counts = { ready: 'Ready', inflight: 'InFlight', delayed: 'Delayed', dead: 'Dead', blocked: 'Blocked' };

function QueueCard({ account, name, onClose, onChange }) {
  const look = useCall(dataPath(account, 'queue', name), { everyMs: 2000 });
  const [state, setState] = useState('ready');
  const messages = useCall(dataPath(account, 'peek', name, { state, limit: 20 }), { everyMs: 3000 });
  const [dialog, setDialog] = useState();
  const [error, setError] = useState();
  const [told, setTold] = useState();
  const again = () => {
    look.again();
    messages.again();
    onChange();
  };
  const run = async (noun, query) => {
    try {
      setError(undefined);
      const said = await call('POST', dataPath(account, noun, name, query));
      again();
      return said;
    } catch (failure) {
      setError(failure);
      return undefined;
    }
  };
  const redrive = async (how, id) => {
    const said = await run('redrive', { do: how, id });
    if (said !== undefined)
      setTold(
        how === 'retry'
          ? `${plural(said.Redriven, 'message')} on the way again.`
          : `${plural(said.Skipped, 'message')} dropped.`,
      );
  };
  return html`<${Card} label="Queue" title=${html`<${Name} text=${name} clamp />`}
    tools=${html`<button class="button quiet icon small" aria-label="Close" data-close onClick=${onClose}><${Icon} name="close" /></button>`}>
    <${Loaded} call=${look}>${(queue) => html`<div class="body stack">
      <div class="toolbar">
        ${queue.Paused ? html`<${Pill} tone="warn">paused: nothing is delivered</${Pill}>` : html`<${Pill} tone="good" dot>delivering</${Pill}>`}
        <${Pill}>${bytes(queue.Bytes)}</${Pill}>
        <${Pill} tone=${queue.Consumers === 0 && queue.Ready > 0 ? 'warn' : ''}>${plural(queue.Consumers, 'consumer')} waiting</${Pill}>
        ${queue.Groups > 0 && html`<${Pill}>${plural(queue.Groups, 'group')}</${Pill}>`}
      </div>
      <${Failure} error=${error} />
      ${told !== undefined && html`<p role="status" class="muted">${told}</p>`}
      ${
        may('admin') &&
        html`<div class="toolbar">
        ${
          queue.Paused
            ? html`<button class="button primary" onClick=${() => run('resume/queue')}>Resume</button>`
            : html`<button class="button" onClick=${() => run('pause/queue')}>Pause</button>`
        }
        <button class="button" disabled=${queue.Dead + queue.Blocked === 0} onClick=${() => redrive('retry')}>Redrive dead and blocked</button>
        <button class="button" onClick=${() => setDialog('purge')}>Purge…</button>
      </div>`
      }
      <div class="tabs" role="group" aria-label="Messages">
        ${states.map((each) => html`<button key=${each} aria-pressed=${each === state} onClick=${() => setState(each)}>${stateWords[each]} <span class="number">${count(queue[counts[each]])}</span></button>`)}
      </div>
      <${Loaded} call=${messages}>${({ Messages, More }) =>
        Messages.length === 0
          ? html`<p class="muted">No message is ${state === 'inflight' ? 'out' : state}.</p>`
          : html`<${Table} caption="Messages" rows=${Messages} keyOf=${(row) => row.ID} columns=${[
              {
                label: 'Message',
                cell: (row) =>
                  html`<span class="mono small">${row.ID.split(':', 1)[0]}</span>${row.Group !== undefined && html`<br /><span class="small muted">group <${Name} text=${row.Group} clamp /></span>`}`,
              },
              {
                label: 'Data',
                name: true,
                cell: (row) =>
                  html`<span class="mono small"><${Said} text=${shortened(JSON.stringify(row.Data), 220)} /></span>${row.LastError !== undefined && html`<br /><span class="error small"><${Said} text=${shortened(row.LastError, 160)} /></span>`}`,
              },
              { label: 'Tries', right: true, cell: (row) => count(row.Attempts) },
              { label: 'Since', right: true, cell: (row) => html`<${Ago} at=${row.At} />` },
              {
                label: '',
                cell: (row) =>
                  may('admin') &&
                  (state === 'dead' || state === 'blocked') &&
                  html`<span class="toolbar"><button class="button small" onClick=${() => redrive('retry', row.ID)}>Retry</button><button class="button small" onClick=${() => redrive('skip', row.ID)}>Drop</button></span>`,
              },
            ]} />${More && html`<p class="muted small">The first 20 are shown.</p>`}`}</${Loaded}>
      <details><summary class="muted small">Policy</summary><pre class="code">${JSON.stringify(queue.Policy, undefined, 2)}</pre></details>
      ${
        dialog === 'purge' &&
        html`<${Confirm} title="Purge this queue?" action="Purge" typed=${name} onClose=${() => setDialog()}
        run=${async () => {
          await call('POST', dataPath(account, 'purge', name));
          again();
        }}>
        <${Notice} tone="bad">All ${plural(queue.Ready + queue.InFlight + queue.Delayed + queue.Dead + queue.Blocked, 'message')} are gone at once, those that are out too. This cannot be undone.</${Notice}>
      </${Confirm}>`
      }
    </div>`}</${Loaded}>
  </${Card}>`;
}
