import { useEffect, useRef, useState } from 'preact/hooks';
import { dataPath, get } from './api.js';
import { amount, bytes, count, duration, shortened, visibleJson } from './format.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import {
  AccountPicker,
  Ago,
  Card,
  CopyButton,
  Empty,
  Loaded,
  Name,
  Pager,
  Pill,
  Said,
  Stat,
  Table,
  useFirstAccount,
} from './parts.js';
import { chooserOf, go, lastAccount, may, paused, useCall } from './store.js';

const choose = chooserOf('scripts');

export function ScriptsPage({ query }) {
  const { account = lastAccount(), prefix = '', after, script, version } = query;
  useFirstAccount(account, choose);
  const to = (change) => go('scripts', { account, prefix, after, script, version, ...change });
  const list = useCall(
    account === '' ? undefined : dataPath(account, 'script', undefined, { prefix, after, limit: 100 }),
    { everyMs: 5000 },
  );
  const tallies = useTallies(account);
  return html`
    ${may('operator') && html`<${Rates} />`}
    <div class="toolbar">
      <${AccountPicker} value=${account} onChange=${choose} />
      <label class="grow"><span class="visually-hidden">Prefix</span><input class="field mono" type="search" data-search placeholder="Scripts that begin with…"
        value=${prefix} onChange=${(event) => to({ prefix: event.target.value, after: undefined })} spellcheck=${false} /></label>
    </div>
    <div class=${script === undefined ? 'grid' : 'grid split'}>
      <${Card} title="Scripts">
        ${
          account === ''
            ? html`<${NoScripts} />`
            : html`<${Loaded} call=${list}>${({ Scripts, More, After }) => html`
          ${
            Scripts.length === 0
              ? html`<${NoScripts} />`
              : html`<${Table} caption="Scripts" compact=${script !== undefined} rows=${Scripts} keyOf=${(row) => row.Name} chosen=${script}
            onOpen=${(row) => to({ script: row.Name, version: undefined })} columns=${[
              { label: 'Script', name: true, main: true, cell: (row) => html`<${Name} text=${row.Name} clamp />` },
              {
                label: 'Version',
                right: true,
                main: true,
                cell: (row) => html`<span class="mono small">${row.Version}</span>`,
              },
              {
                label: 'Calls a second',
                right: true,
                cell: (row) =>
                  tallies.has(row.Name) && html`<span data-volatile>${amount(tallies.get(row.Name).rate)}</span>`,
              },
              {
                label: 'Failed',
                right: true,
                cell: (row) =>
                  tallies.get(row.Name)?.Failed > 0 &&
                  html`<${Pill} tone="bad">${count(tallies.get(row.Name).Failed)}</${Pill}>`,
              },
              {
                label: 'Last error',
                name: true,
                cell: (row) =>
                  tallies.get(row.Name)?.LastError !== undefined &&
                  html`<span class="error small"><${Said} text=${shortened(tallies.get(row.Name).LastError, 120)} /></span>`,
              },
              { label: 'Size', right: true, cell: (row) => bytes(row.Bytes) },
              { label: 'Stored', right: true, cell: (row) => html`<${Ago} at=${row.AtMs} />` },
            ]} />`
          }
          <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => to({ after: After })} onFirst=${() => to({ after: undefined })} />`}</${Loaded}>`
        }
      </${Card}>
      ${script !== undefined && html`<${ScriptCard} key=${`${account}\u0000${script}`} account=${account} name=${script} version=${version} onVersion=${(one) => to({ version: one })} onClose=${() => to({ script: undefined, version: undefined })} />`}
    </div>`;
}

/** By name: calls and failures since the start, and `rate`, the calls a second between the last two looks. */
function useTallies(account) {
  const path = account === '' || !may('admin') ? undefined : `admin/scripts/${encodeURIComponent(account)}`;
  const { data } = useCall(path, { everyMs });
  const before = useRef();
  const shown = useRef(new Map());
  if (data !== undefined && data !== before.current?.data) {
    const last = before.current?.path === path ? before.current.data : undefined;
    const seconds = last === undefined ? 0 : (data.Now - last.Now) / 1000;
    const callsOf = (name) => last?.Scripts.find(({ Script }) => Script === name)?.Calls ?? 0;
    const rateOf = ({ Script, Calls }) => (seconds <= 0 ? 0 : Math.max(0, Calls - callsOf(Script)) / seconds);
    shown.current = new Map(data.Scripts.map((row) => [row.Script, { ...row, rate: rateOf(row) }]));
    before.current = { path, data };
  }
  return data === undefined ? new Map() : shown.current;
}

function NoScripts() {
  return html`<${Empty} icon="scripts" title="This account has no scripts"><p>A script is a function that runs beside the data.</p></${Empty}>`;
}

function ScriptCard({ account, name, version, onVersion, onClose }) {
  const look = useCall(dataPath(account, 'script', name, { version }), { everyMs: version === undefined ? 5000 : 0 });
  const close = html`<button class="button quiet icon small" aria-label="Close" data-close onClick=${onClose}><${Icon} name="close" /></button>`;
  return html`<${Card} label="Script" title=${html`<${Name} text=${name} clamp />`} tools=${close}>
    <${Loaded} call=${look}>${({ Version, Versions, AtMs, Source }) => html`<div class="body stack">
      <div class="toolbar">
        <label><span class="visually-hidden">Version</span><select class="field mono" value=${String(Version)} onChange=${(event) => onVersion(event.target.value)}>
          ${Versions.map((one, i) => html`<option key=${one} value=${String(one)}>version ${one}${i === 0 ? ', current' : ''}</option>`)}
        </select></label>
        <${Pill}>${bytes(new Blob([Source]).size)}</${Pill}>
        <span class="small muted">stored <${Ago} at=${AtMs} /></span>
        <${CopyButton} text=${Source} label="Copy source" />
      </div>
      <pre class="code" tabindex="0" aria-label="Source">${visibleJson(Source)}</pre>
    </div>`}</${Loaded}>
  </${Card}>`;
}

const everyMs = 3000;
const shownMax = 60;
const names = {
  runs: 'dragonlock_script_runs_total',
  cpu: 'dragonlock_script_cpu_seconds_total',
  kills: 'dragonlock_script_kills_total',
  conflicts: 'dragonlock_script_conflicts_total',
};

/** What scripts of all accounts do, from the server's metrics. */
function Rates() {
  const [history, setHistory] = useState([]);
  const last = useRef();
  useEffect(() => {
    const ends = new AbortController();
    const look = async () => {
      const text = await get('metrics', { text: true, signal: ends.signal }).catch(() => undefined);
      if (text === undefined || ends.signal.aborted) return;
      const now = { at: performance.now() };
      for (const [name, metric] of Object.entries(names))
        now[name] = Number(new RegExp(`^${metric} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
      const before = last.current;
      last.current = now;
      if (before === undefined || Number.isNaN(now.runs)) return;
      const seconds = (now.at - before.at) / 1000;
      const rate = (name) => Math.max(0, (now[name] - before[name]) / seconds);
      const point = {
        runs: rate('runs'),
        cpu: rate('cpu'),
        conflicts: rate('conflicts'),

        kills: now.kills,
      };
      setHistory((all) => [...all, point].slice(-shownMax));
    };
    void look();
    const timer = setInterval(() => document.hidden || paused.get() || void look(), everyMs);
    return () => {
      ends.abort();
      clearInterval(timer);
    };
  }, []);
  const now = history.at(-1) ?? { runs: 0, cpu: 0, conflicts: 0, kills: 0 };
  const of = (name) => history.map((point) => point[name]);
  return html`<div class="grid cols-4">
    <${Stat} label="Runs a second" value=${amount(now.runs)} values=${of('runs')} hint="Of all accounts; a call may need several" />
    <${Stat} label="CPU" value=${duration(now.cpu * 1000)} unit="a second" values=${of('cpu')} />
    <${Stat} label="Conflicts a second" value=${amount(now.conflicts)} values=${of('conflicts')} tone="warn" />
    <${Stat} label="Threads killed" value=${amount(now.kills)} values=${of('kills')} tone=${now.kills > 0 ? 'bad' : 'muted'} hint="Since the start, because of a script that could not be interrupted" />
  </div>`;
}
