import { useState } from 'preact/hooks';
import { call } from './api.js';
import { bytes, duration } from './format.js';
import { html } from './html.js';
import { Card, CopyButton, Empty, Failure, Loaded, Notice, Pill, Table } from './parts.js';
import { overview, useCall, useStore } from './store.js';

export function ServerPage() {
  const now = useStore(overview);
  const config = useCall('admin/config');
  const tokens = useCall('admin/tokens');
  const [text, setText] = useState('');
  return html`
    <div class="grid cols-2">
      <${Card} title="This start"><div class="body"><dl class="facts">
        <dt>Version</dt><dd>${now?.Version ?? '–'} <span class="muted">on Node ${now?.Node}</span></dd>
        <dt>Boot</dt><dd class="mono">${now?.Boot ?? '–'}</dd>
        <dt>Up</dt><dd data-volatile>${now === undefined ? '–' : duration(now.UptimeS * 1000)}</dd>
        <dt>API</dt><dd><a href="../openapi.json">OpenAPI document</a> · <a href="api/">as a page</a> · <a href="../metrics">metrics</a></dd>
      </dl></div></${Card}>
      <${Card} title="Tokens"><${Loaded} call=${tokens}>${({ Tokens }) =>
        Tokens.length === 0
          ? html`<${Empty} icon="accounts" title="No tokens are configured"><p>Whoever can reach this loopback address may do everything.</p></${Empty}>`
          : html`<${Table} caption="Tokens" rows=${Tokens} keyOf=${(row) => row.Name} columns=${[
              { label: 'Name', cell: (row) => html`<b class="mono">${row.Name}</b>` },
              { label: 'Accounts', cell: (row) => (row.Accounts === '*' ? 'all' : row.Accounts.join(', ')) },
              {
                label: 'Scopes',
                cell: (row) =>
                  html`<span class="toolbar" style=${{ gap: '4px' }}>${row.Scopes.map((scope) => html`<${Pill} key=${scope} tone=${['force', 'admin', 'operator'].includes(scope) ? 'warn' : ''}>${scope}</${Pill}>`)}</span>`,
              },
            ]} />`}</${Loaded}></${Card}>
    </div>
    <${Actions} onChange=${() => (config.again(), tokens.again())} />
    <${Card} title="Settings in use" tools=${html`<label><span class="visually-hidden">Search settings</span><input class="field" type="search" data-search placeholder="Search settings" value=${text} onInput=${(event) => setText(event.target.value)} /></label>
      <${CopyButton} text=${() => (config.data?.Settings ?? []).map(({ Name, Value }) => `${Name}: ${JSON.stringify(Value)}`).join('\n')} />`}>
      <${Loaded} call=${config}>${({ Settings }) => html`<${SettingsTable} rows=${Settings} text=${text} />`}</${Loaded}>
    </${Card}>`;
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** What can be done to a running server; a drain is left to the command line. */
function Actions({ onChange }) {
  const [said, setSaid] = useState();
  const [error, setError] = useState();
  const [level, setLevel] = useState('debug');
  const run = async (method, path, tell) => {
    setError(undefined);
    try {
      setSaid(tell(await call(method, path)));
      onChange();
    } catch (failure) {
      setError(failure);
    }
  };
  return html`<${Card} title="Configuration and log"><div class="body stack">
    <${Failure} error=${error} />
    ${said !== undefined && html`<${Notice} tone=${said.tone}>${said.text}</${Notice}>`}
    <div class="toolbar">
      <button class="button" onClick=${() => run('POST', 'admin/reload', reloadText)}>Reload configuration</button>
      <label><span class="visually-hidden">Log level</span><select class="field" value=${level} onChange=${(event) => setLevel(event.target.value)}>
        ${levels.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>
      <button class="button" onClick=${() => run('PUT', `admin/log-level?level=${level}`, levelText)}>Log so for 10 minutes</button>
    </div></div></${Card}>`;
}

function reloadText({ Reloaded, Changed, NeedRestart, Problems }) {
  if (!Reloaded) return { tone: 'bad', text: `The old configuration stays in force. ${Problems.join('; ')}` };
  const changed = Changed.length === 0 ? 'Nothing has changed.' : `Changed: ${Changed.join(', ')}.`;
  if (NeedRestart.length === 0) return { tone: 'good', text: changed };
  return { tone: 'warn', text: `${changed} A restart is needed for ${NeedRestart.join(', ')}.` };
}

function levelText({ Level, Configured }) {
  return { tone: 'good', text: `The log level is ${Level} now, and ${Configured} again in 10 minutes.` };
}

function SettingsTable({ rows, text }) {
  const wanted = text.trim().toLowerCase();
  const found = rows
    .filter(({ Name, Value }) => `${Name} ${JSON.stringify(Value)}`.toLowerCase().includes(wanted))
    .toSorted((a, b) => Number('Default' in b) - Number('Default' in a));
  if (found.length === 0) return html`<${Empty} icon="server" title="No setting has this in its name" />`;
  return html`<${Table} caption="Settings" rows=${found} keyOf=${(row) => row.Name} columns=${[
    { label: 'Setting', name: true, cell: (row) => html`<span class="mono">${row.Name}</span>` },
    {
      label: 'Value',
      cell: (row) =>
        html`<span class="mono">${valueText(row.Name, row.Value)}</span> ${row.Value === 'set' && html`<${Pill}>secret</${Pill}>`}`,
    },
    {
      label: 'Default',
      cell: (row) => 'Default' in row && html`<span class="muted mono">${valueText(row.Name, row.Default)}</span>`,
    },
    { label: '', cell: (row) => 'Default' in row && html`<${Pill} tone="accent">changed</${Pill}>` },
  ]} />`;
}

function valueText(name, value) {
  if (typeof value === 'string') return value === '' ? '(none)' : value;
  if (typeof value === 'number' && name.includes('bytes') && value >= 1024) return bytes(value);
  if (typeof value === 'number' && name.endsWith('_ms') && value >= 1000) return duration(value);
  return JSON.stringify(value);
}
