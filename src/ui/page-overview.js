import { useRef, useState } from 'preact/hooks';
import { amount, bytes, clock, count, duration, metaText, plural } from './format.js';
import { html } from './html.js';
import { Ago, Card, Empty, Loaded, Name, Notice, Pill, Said, Stat, Table } from './parts.js';
import { connection, go, may, overview, routeTo, serverNow, useCall, useStore } from './store.js';

export function OverviewPage() {
  const now = useStore(overview);
  if (!may('operator')) return html`<${TenantOverview} />`;
  if (now === undefined) return html`<${Skeleton} />`;
  const points = now.History?.Points ?? [];
  const column = (i) => points.map((point) => point[i]);
  const { Rates, Latency } = now;
  return html`
    <${Warnings} warnings=${now.Warnings} />
    <div class="grid cols-4">
      <${Stat} label="Requests" value=${amount(Rates.Requests)} unit="/s" values=${[...column(1), Rates.Requests]} />
      <${Stat} label="p99 latency" value=${amount(Latency.P99Ms)} unit="ms" tone="info" values=${column(4)}
        hint="Of the last minute, without requests that wait for a lock, a message or a change" />
      <${Stat} label="Commits" value=${amount(Rates.Commits)} unit="/s" values=${[...column(3), Rates.Commits]} />
      <${Stat} label="Server errors" value=${amount(Rates.Errors)} unit="/s" tone=${Rates.Errors > 0 ? 'bad' : 'muted'} values=${[...column(2), Rates.Errors]} />
    </div>
    <${TrafficChart} points=${points} everyMs=${now.History?.EveryMs ?? 5000} />
    <div class="grid cols-2">
      <${LongestLines} />
      <${Operations} rows=${now.Operations} />
    </div>
    <div class="grid cols-2">
      <${Shards} shards=${now.Shards} />
      <${Health} now=${now} />
    </div>`;
}

/** Of a token that may not look at the server: what it may. */
function TenantOverview() {
  const accounts = useCall('admin/accounts', { everyMs: 5000 });
  return html`<${Card} title="Your accounts">
    <${Loaded} call=${accounts}>${({ Accounts }) => html`<${AccountTable} rows=${Accounts} />`}</${Loaded}>
  </${Card}>`;
}

export function AccountTable({ rows }) {
  if (rows.length === 0)
    return html`<${Empty} icon="accounts" title="No account has anything yet">
      <p>An account begins with its first write.</p>
      <pre class="code">curl localhost:8081/db/demo/kv/greeting -d '"hello"'</pre>
    </${Empty}>`;
  const most = Math.max(...rows.map((row) => row.Bytes), 1);
  const columns = [
    { label: 'Account', name: true, cell: (row) => html`<b>${row.Account}</b>` },
    { label: 'Keys', right: true, cell: (row) => count(row.Keys) },
    { label: 'Locks', right: true, cell: (row) => count(row.Locks) },
    {
      label: 'Stored',
      cell: (row) => html`<${Stored} row=${row} most=${most} />`,
    },
    { label: 'Waiting', right: true, cell: (row) => count(row.Waiters) },
    { label: 'Watching', right: true, cell: (row) => count(row.Watchers) },
    { label: 'Connections', right: true, cell: (row) => count(row.Connections) },
  ];
  return html`<${Table} caption="Accounts" columns=${columns} rows=${rows} keyOf=${(row) => row.Account}
    onOpen=${(row) => go('keys', { account: row.Account })} />`;
}

/** What is stored: as a share of the account's quota, or else of the largest account. */
function Stored({ row, most }) {
  const share = row.Bytes / (row.BytesMax > 0 ? row.BytesMax : most);
  const of = row.BytesMax > 0 ? ` of ${bytes(row.BytesMax)}` : '';
  return html`<div class="stack" style=${{ gap: '4px', minWidth: '96px' }}><span class="number">${bytes(row.Bytes)}${of}</span>
    <span class=${row.BytesMax > 0 && share > 0.9 ? 'bar warn' : 'bar'}><span style=${{ width: `${Math.min(100, Math.max(1, share * 100))}%` }}></span></span></div>`;
}

function Warnings({ warnings = [] }) {
  const state = useStore(connection);
  return html`<div class="stack" aria-live="polite" hidden=${state !== 'full' && warnings.length === 0}>
    ${state === 'full' && html`<${Notice}>Sixteen others follow this overview already. It shows what it had, and tries again.</${Notice}>`}
    ${warnings.map(
      ({ Level, Text, Doc }) => html`<${Notice} key=${Text} tone=${Level === 'error' ? 'bad' : 'warn'}
      link=${html`<span class="small mono" style=${{ marginLeft: 'auto' }}>${Doc}</span>`}>${Text}</${Notice}>`,
    )}
  </div>`;
}

const series = [
  { index: 1, label: 'Requests/s', tone: 'accent' },
  { index: 3, label: 'Commits/s', tone: 'info' },
];

/** Requests and commits of the last quarter of an hour. */
function TrafficChart({ points, everyMs }) {
  const [at, setAt] = useState();
  const plot = useRef();
  if (points.length < 2)
    return html`<${Card} title="Last 15 minutes">
      <${Empty} icon="overview" title="The history begins now"><p>The server keeps a point every ${everyMs / 1000} s. Come back in a moment.</p></${Empty}>
    </${Card}>`;
  const top = niceTop(Math.max(...points.flatMap((point) => series.map(({ index }) => point[index])), 1));
  const shown = points[Math.min(at ?? points.length - 1, points.length - 1)];
  const move = (event) => {
    const { left, width } = plot.current.getBoundingClientRect();
    setAt(Math.max(0, Math.min(points.length - 1, Math.round(((event.clientX - left) / width) * (points.length - 1)))));
  };
  const path = (index) =>
    points
      .map((point, i) => {
        const y = 100 - (point[index] / top) * 100;
        return `${i === 0 ? 'M' : 'L'}${((i / (points.length - 1)) * 1000).toFixed(1)} ${y.toFixed(2)}`;
      })
      .join('');
  return html`<${Card} title=${`Last ${duration(points.at(-1)[0] - points[0][0] + everyMs)}`}
    tools=${html`<span class="legend" data-volatile>
      ${series.map(({ index, label, tone }) => html`<span key=${label}><i class=${`tone-${tone}`}></i>${label} <b>${amount(shown[index])}</b></span>`)}
      <span>p99 <b>${amount(shown[4])} ms</b></span><span>${clock(shown[0])}</span></span>`}>
    <div class="big-chart">
      <div class="plot" ref=${plot} onPointerMove=${move} onPointerLeave=${() => setAt(undefined)}
        role="img" aria-label=${`Requests and commits a second; now ${amount(shown[1])} and ${amount(shown[3])}`}>
        ${[1, 0.5].map((share) => html`<div class="gridline" key=${share} style=${{ top: `${(1 - share) * 100}%` }}><span>${amount(top * share)}</span></div>`)}
        <div class="chart" data-volatile><svg viewBox="0 0 1000 100" preserveAspectRatio="none">
          ${series.map(
            ({ index, tone }) => html`<g class=${`tone-${tone}`} key=${index}>
            <path class="area" d=${`${path(index)}L1000 100L0 100Z`} /><path class="line" d=${path(index)} /></g>`,
          )}
        </svg></div>
        ${at !== undefined && html`<div class="cursor" style=${{ left: `${(at / (points.length - 1)) * 100}%` }}></div>`}
      </div>
      <div class="axis" data-volatile><span>${clock(points[0][0])}</span><span>${clock(points[Math.floor(points.length / 2)][0])}</span><span>${clock(points.at(-1)[0])}</span></div>
    </div>
  </${Card}>`;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function LongestLines() {
  const lines = useCall(may('admin') ? 'admin/locks' : undefined, { everyMs: 3000 });
  const rows = (lines.data?.Locks ?? []).slice(0, 6);
  return html`<${Card} title="Longest lines" tools=${html`<a class="small" href=${routeTo('locks')}>All locks</a>`}>
    ${
      lines.data !== undefined && rows.length === 0
        ? html`<${Empty} icon="locks" title="Nobody waits for a lock" />`
        : html`<${Table} caption="Longest lines" rows=${rows} keyOf=${(row) => `${row.Account}/${row.LockID}`}
          onOpen=${(row) => go('locks', { account: row.Account, lock: row.LockID })}
          columns=${[
            {
              label: 'Lock',
              name: true,
              cell: (row) =>
                html`<span class="muted small">${row.Account}</span><br /><${Name} text=${row.LockID} clamp />`,
            },
            { label: 'Holder', cell: (row) => html`<span class="small"><${Said} text=${metaText(row.Meta)} /></span>` },
            {
              label: 'Held',
              right: true,
              cell: (row) => row.Since && html`<span data-volatile>${duration(serverNow() - row.Since)}</span>`,
            },
            { label: 'Waiting', right: true, cell: (row) => html`<b>${count(row.Waiters)}</b>` },
          ]} />`
    }
  </${Card}>`;
}

function Operations({ rows = [] }) {
  const most = Math.max(...rows.map((row) => row.PerSecond), 1e-9);
  return html`<${Card} title="Operations, last minute">
    ${
      rows.length === 0
        ? html`<${Empty} icon="slow" title="No requests in the last minute" />`
        : html`<${Table} caption="Operations" rows=${rows.slice(0, 8)} keyOf=${(row) => row.Operation}
          columns=${[
            { label: 'Operation', cell: (row) => html`<span class="mono">${row.Operation}</span>` },
            {
              label: 'Rate',
              cell: (
                row,
              ) => html`<div class="stack" style=${{ gap: '4px', minWidth: '84px' }} data-volatile><span class="number">${amount(row.PerSecond)}/s</span>
              <span class="bar"><span style=${{ width: `${Math.max(1, (row.PerSecond / most) * 100)}%` }}></span></span></div>`,
            },
            { label: 'p50', right: true, cell: (row) => html`<span data-volatile>${amount(row.P50Ms)} ms</span>` },
            { label: 'p99', right: true, cell: (row) => html`<span data-volatile>${amount(row.P99Ms)} ms</span>` },
          ]} />`
    }
  </${Card}>`;
}

function Shards({ shards = [] }) {
  const most = Math.max(...shards.map((shard) => shard.MemtableBytes), 1);
  return html`<${Card} title=${plural(shards.length, 'shard')}>
    <${Table} caption="Shards" rows=${shards} keyOf=${(row) => row.Shard}
      columns=${[
        { label: 'Shard', cell: (row) => html`<b>${row.Shard}</b>` },
        { label: 'In flight', right: true, cell: (row) => count(row.Queued) },
        { label: 'Waiting', right: true, cell: (row) => count(row.Waiters) },
        {
          label: 'In memory',
          cell: (
            row,
          ) => html`<div class="stack" style=${{ gap: '4px', minWidth: '96px' }} data-volatile><span class="number">${bytes(row.MemtableBytes)}</span>
          <span class="bar"><span style=${{ width: `${(row.MemtableBytes / most) * 100}%` }}></span></span></div>`,
        },
        { label: 'Checkpoints', right: true, cell: (row) => count(row.Checkpoints) },
      ]} />
  </${Card}>`;
}

const spaces = {
  open: ['good', 'room for all writes'],
  reserve: ['bad', 'only what frees space'],
  full: ['bad', 'no room'],
};

function Health({ now }) {
  const { Journal, Memory, FrontEnds = [], Backup } = now;
  const [tone, words] = spaces[Journal.Space] ?? ['', Journal.Space];
  const facts = [
    [
      'One sync',
      html`<span class="number" data-volatile>p50 ${amount(Journal.SyncP50Ms)} ms · p99 ${amount(Journal.SyncP99Ms)} ms · carries ${amount(Journal.GroupMean)}</span>`,
    ],
    [
      'Journal',
      html`<span data-volatile>${plural(Journal.Segments, 'file')}, from revision ${count(Journal.OldestRev)} on</span>`,
    ],
    ['Disk', html`<${Pill} tone=${tone}>${words}</${Pill}>`],
    ['Durable revision', html`<span class="number" data-volatile>${count(now.Durable)}</span>`],
    [
      'Connections',
      html`<span class="number" data-volatile>${count(now.Connections)} · ${plural(now.Waiters, 'waiter')} · ${plural(now.Watchers + now.Streams, 'watch', 'watches')}</span>`,
    ],
    ['Memory', html`<span class="number" data-volatile>${bytes(Memory.ResidentBytes)} resident</span>`],
    [
      'Front ends',
      html`<span class="number" data-volatile>${FrontEnds.map(({ Busy }) => `${Math.round(Busy * 100)} %`).join(' · ')} busy</span>`,
    ],
    [
      'Backups',
      Backup === undefined
        ? html`<span class="muted">not configured</span>`
        : html`<${Pill} tone=${Backup.State === 'shipping' ? 'good' : 'warn'}>${Backup.State}</${Pill}> ${Backup.CaughtUpAtMs > 0 && html`<span class="small muted">caught up <${Ago} at=${Backup.CaughtUpAtMs} /></span>`}`,
    ],
  ];
  return html`<${Card} title="Health"><div class="body"><dl class="facts">
    ${facts.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}
  </dl></div></${Card}>`;
}

function Skeleton() {
  return html`<div class="grid cols-4" aria-busy="true">
    ${['Requests', 'p99 latency', 'Commits', 'Server errors'].map((label) => html`<${Stat} key=${label} label=${label} value="–" values=${[]} />`)}
  </div>`;
}
