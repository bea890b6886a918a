import { adminPath } from './api.js';
import { bytes, count, duration } from './format.js';
import { html } from './html.js';
import { Ago, Card, Empty, Loaded, Name, Pill, Table } from './parts.js';
import { go, useCall } from './store.js';

const orders = { requests: 'requests', bytes: 'bytes sent', time: 'time taken' };

export function TrafficPage({ query }) {
  const { by = 'requests' } = query;
  const top = useCall(adminPath('top', { by }), { everyMs: 5000 });
  const slow = useCall(adminPath('slow'), { everyMs: 5000 });
  const order = html`<label><span class="visually-hidden">Order</span><select class="field" value=${by} onChange=${(event) => go('traffic', { by: event.target.value })}>
    ${Object.entries(orders).map(([name, text]) => html`<option key=${name} value=${name}>by ${text}</option>`)}</select></label>`;
  return html`
    <${Card} title="Busiest accounts" tools=${order}>
      <${Loaded} call=${top}>${({ Top, Seconds }) =>
        Top.length === 0
          ? html`<${Empty} icon="accounts" title="Nobody has asked for anything"><p>One request in 61 is looked at, of the last minutes.</p></${Empty}>`
          : html`<${Table} caption="Busiest accounts" rows=${Top} keyOf=${(row) => row.Account} columns=${[
              { label: 'Account', name: true, cell: (row) => html`<b class="mono">${row.Account}</b>` },
              { label: 'Requests', right: true, cell: (row) => volatile(count(row.Requests)) },
              { label: 'Sent', right: true, cell: (row) => volatile(bytes(row.Bytes)) },
              { label: 'Time taken', right: true, cell: (row) => volatile(duration(row.Ms)) },
            ]} /><p class="muted small body">Estimates for the last <span data-volatile>${duration(Seconds * 1000)}</span>, from one request in 61.</p>`}</${Loaded}>
    </${Card}>
    <${Card} title="Slow requests">
      <${Loaded} call=${slow}>${({ Slow }) =>
        Slow.length === 0
          ? html`<${Empty} icon="slow" title="No request was slow"><p>Those that take longer than log.slow_ms are listed here, but for those that may wait.</p></${Empty}>`
          : html`<${Table} caption="Slow requests" rows=${Slow} keyOf=${(_, i) => i} columns=${[
              { label: 'Operation', name: true, cell: (row) => html`<span class="mono">${row.Operation}</span>` },
              { label: 'Took', right: true, cell: (row) => duration(row.Ms) },
              { label: 'Account', cell: (row) => row.Account },
              {
                label: 'Status',
                cell: (row) => html`<${Pill} tone=${row.Status < 400 ? 'good' : 'warn'}>${row.Status}</${Pill}>`,
              },
              { label: 'When', cell: (row) => html`<${Ago} at=${row.At} />` },
              { label: 'By', cell: (row) => html`${row.Who} <span class="muted">${row.From}</span>` },
              {
                label: 'Request',
                cell: (row) => row.URL && html`<${Name} text=${`${row.Method} ${row.URL}`} clamp />`,
              },
            ]} />`}</${Loaded}>
    </${Card}>`;
}

function volatile(text) {
  return html`<span data-volatile>${text}</span>`;
}
