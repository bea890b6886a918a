import { adminPath } from './api.js';
import { count, plural } from './format.js';
import { html } from './html.js';
import { AccountPicker, Card, Empty, Loaded, Name, Pill, Table } from './parts.js';
import { go, me, overview, useCall, useStore } from './store.js';

const kinds = { keys: 'long poll', prefix: 'long poll', stream: 'stream' };

export function WatchesPage({ query }) {
  const { Accounts } = useStore(me);
  const now = useStore(overview);
  const { account = Accounts === '*' ? '' : (Accounts[0] ?? '') } = query;
  const list = useCall(adminPath('watchers', { account }), { everyMs: 3000 });
  return html`
    <div class="toolbar"><${AccountPicker} value=${account} onChange=${(name) => go('watches', { account: name })} all=${Accounts === '*' ? 'All accounts' : undefined} />
      ${now !== undefined && html`<span class="muted" data-volatile>${plural(now.Watchers, 'long poll')} and ${plural(now.Streams, 'stream')} in all</span>`}</div>
    <${Card} title="Open watches">
      <${Loaded} call=${list}>${({ Watchers, More }) =>
        Watchers.length === 0
          ? html`<${Empty} icon="watches" title="Nobody watches"><p>Long polls and event streams are listed here while they are open.</p></${Empty}>`
          : html`<${Table} caption="Open watches" rows=${Watchers} keyOf=${(_, i) => i} columns=${[
              {
                label: 'Watches',
                name: true,
                cell: (row) =>
                  html`<${Name} text=${row.Key === '' ? '(everything)' : row.Key} clamp />${row.Kind !== 'keys' && row.Key !== '' && html`<span class="muted">*</span>`}`,
              },
              { label: 'Account', cell: (row) => row.Account },
              {
                label: 'How',
                cell: (row) =>
                  html`<${Pill} tone=${row.Kind === 'stream' ? 'accent' : ''}>${kinds[row.Kind]}</${Pill}> ${row.Keys > 1 && html`<span class="muted small">${plural(row.Keys, 'key')}</span>`}`,
              },
              {
                label: 'Behind by',
                right: true,
                cell: (row) =>
                  row.Rev !== undefined &&
                  now !== undefined &&
                  html`<span data-volatile>${plural(Math.max(0, now.Durable - row.Rev), 'revision')}</span>`,
              },
            ]} />${More && html`<p class="muted small body">Only ${count(Watchers.length)} are shown; choose an account to see its own.</p>`}`}</${Loaded}>
    </${Card}>`;
}
