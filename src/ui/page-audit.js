import { adminPath } from './api.js';
import { html } from './html.js';
import { AccountPicker, Ago, Card, Empty, Loaded, Name, Pager, Pill, Said, Table } from './parts.js';
import { go, may, me, useCall, useStore } from './store.js';

const actions = [
  'lock.force',
  'queue.pause',
  'queue.resume',
  'queue.purge',
  'queue.delete',
  'queue.policy',
  'queue.redrive',
];
const tones = { 'lock.force': 'bad', 'queue.purge': 'bad', 'queue.delete': 'bad', 'queue.pause': 'warn' };

export function AuditPage({ query }) {
  const { Accounts } = useStore(me);
  const listed = useCall(Accounts === '*' && query.account === undefined ? 'admin/accounts?limit=1' : undefined);
  const first = Accounts === '*' ? listed.data?.Accounts[0]?.Account : Accounts[0];
  const { account = first, action, after } = query;
  const to = (change) => go('audit', { account, action, after, ...change });
  const isServer = account === '*server' || (account === undefined && may('operator'));
  const path = isServer
    ? adminPath('audit', { action, after, limit: 50 })
    : account === undefined
      ? undefined
      : adminPath('audit', { account, action, after, limit: 50 });
  const log = useCall(path, { everyMs: 5000 });
  return html`
    <div class="toolbar">
      <${AccountPicker} value=${isServer ? '' : account} all=${may('operator') ? 'The server' : undefined} onChange=${(name) => to({ account: name === '' ? '*server' : name, after: undefined })} />
      <label><span class="visually-hidden">Action</span><select class="field" value=${action ?? ''} onChange=${(event) => to({ action: event.target.value, after: undefined })}>
        <option value="">All actions</option>${actions.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
    </div>
    <${Card} title="Audit log" tools=${html`<span class="muted small">90 days, and 10,000 entries of each account</span>`}>
      ${
        path === undefined
          ? html`<${Nothing} />`
          : html`<${Loaded} call=${log}>${({ Audit, More, After }) => html`
        ${
          Audit.length === 0
            ? html`<${Nothing} />`
            : html`<${Table} caption="Audit log" rows=${Audit} keyOf=${(row) => row.ID} columns=${[
                { label: 'When', cell: (row) => html`<${Ago} at=${row.At} />` },
                {
                  label: 'Who',
                  cell: (row) =>
                    html`<b>${row.Who === '' ? 'no token' : row.Who}</b><br /><span class="muted small mono">${row.From}</span>`,
                },
                {
                  label: 'Action',
                  cell: (row) => html`<${Pill} tone=${tones[row.Action] ?? 'accent'}>${row.Action}</${Pill}>`,
                },
                { label: 'What', name: true, cell: (row) => html`<${Name} text=${row.Subject} clamp />` },
                {
                  label: 'Reason',
                  cell: (row) => row.Reason !== undefined && html`<${Said} text=${row.Reason} />`,
                },
                { label: 'Revision', right: true, cell: (row) => html`<span class="muted">${row.Rev}</span>` },
              ]} />`
        }
        <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => to({ after: After })} onFirst=${() => to({ after: undefined })} />`}</${Loaded}>`
      }
    </${Card}>`;
}

function Nothing() {
  return html`<${Empty} icon="audit" title="Nothing was forced or administered"><p>Forced unlocks and changes of queues are noted here, with who, from where and why.</p></${Empty}>`;
}
