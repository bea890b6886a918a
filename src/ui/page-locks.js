/** Held locks, their lines, and the force: who loses it is said first, and the lock's name has to be typed. */
import { useState } from 'preact/hooks';
import { adminPath, call, dataPath } from './api.js';
import { count, duration, metaText, plural } from './format.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import { AccountPicker, Ago, Card, Confirm, Empty, Loaded, Name, Notice, Pager, Pill, Said, Table } from './parts.js';
import { chooserOf, go, may, me, serverNow, useCall, useStore } from './store.js';

const choose = chooserOf('locks');

export function LocksPage({ query }) {
  const { Accounts } = useStore(me);
  const only = Accounts === '*' ? '' : (Accounts[0] ?? '');
  const { account = only, prefix = '', after, lock } = query;
  const to = (change) => go('locks', { account, prefix, after, lock, ...change });
  return html`
    <div class="toolbar">
      <${AccountPicker} value=${account} onChange=${choose} all=${Accounts === '*' ? 'All accounts' : undefined} />
      ${
        account !== '' &&
        html`<label class="grow"><span class="visually-hidden">Prefix</span><input class="field mono" type="search" data-search placeholder="Locks that begin with…"
        value=${prefix} onChange=${(event) => to({ prefix: event.target.value, after: undefined })} spellcheck=${false} /></label>`
      }
    </div>
    <div class=${lock === undefined ? 'grid' : 'grid split'}>
      ${account === '' ? html`<${Longest} lock=${lock} chosenAccount=${query.of} />` : html`<${Held} account=${account} prefix=${prefix} after=${after} lock=${lock} to=${to} />`}
      ${
        lock !== undefined &&
        html`<${LockCard} key=${`${query.of ?? account}\u0000${lock}`} account=${query.of ?? account} name=${lock}
        onClose=${() => go('locks', { account, prefix, after })} />`
      }
    </div>`;
}

function columns(withAccount) {
  return [
    {
      label: 'Lock',
      name: true,
      main: true,
      cell: (row) =>
        html`${withAccount && html`<span class="muted small">${row.Account}</span><br />`}<${Name} text=${row.LockID} clamp />`,
    },
    {
      label: 'Holder says',
      cell: (row) => row.Meta !== undefined && html`<span class="small"><${Said} text=${metaText(row.Meta)} /></span>`,
    },
    {
      label: 'Held for',
      right: true,
      main: true,
      cell: (row) => row.Since && html`<span data-volatile>${duration(serverNow() - row.Since)}</span>`,
    },
    { label: 'Ends', right: true, cell: (row) => row.TillMs && html`<${Ago} at=${row.TillMs} />` },
    {
      label: 'Waiting',
      right: true,
      main: true,
      cell: (row) => html`<span class=${row.Waiters > 0 ? '' : 'muted'}>${count(row.Waiters)}</span>`,
    },
  ];
}

function Longest({ lock, chosenAccount }) {
  const lines = useCall('admin/locks', { everyMs: 2000 });
  return html`<${Card} title="Longest lines" tools=${lock === undefined && html`<span class="muted small">choose an account to see all its locks</span>`}>
    <${Loaded} call=${lines}>${({ Locks }) =>
      Locks.length === 0
        ? html`<${Empty} icon="locks" title="Nobody waits for a lock"><p>Locks that are held, and that nobody waits for, are listed by account.</p></${Empty}>`
        : html`<${Table} caption="Locks with the longest lines" compact=${lock !== undefined} rows=${Locks} columns=${columns(true)} keyOf=${(row) => `${row.Account}\u0000${row.LockID}`}
          chosen=${`${chosenAccount}\u0000${lock}`} onOpen=${(row) => go('locks', { of: row.Account, lock: row.LockID })} />`}</${Loaded}>
  </${Card}>`;
}

function Held({ account, prefix, after, lock, to }) {
  const list = useCall(dataPath(account, 'lock', undefined, { prefix, after, limit: 100 }), { everyMs: 3000 });
  return html`<${Card} title="Held locks">
    <${Loaded} call=${list}>${({ Locks, More, After }) => html`
      ${
        Locks.length === 0
          ? html`<${Empty} icon="locks" title=${prefix === '' ? 'No lock is held' : 'No held lock begins with this'} />`
          : html`<${Table} caption="Held locks" compact=${lock !== undefined} rows=${Locks} columns=${columns(false)} keyOf=${(row) => row.LockID} chosen=${lock} onOpen=${(row) => to({ lock: row.LockID })} />`
      }
      <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => to({ after: After })} onFirst=${() => to({ after: undefined })} />`}</${Loaded}>
  </${Card}>`;
}

const endings = { released: ['good', 'released'], expired: ['warn', 'expired'], forced: ['bad', 'forced'] };

function LockCard({ account, name, onClose }) {
  const look = useCall(adminPath(`locks/${encodeURIComponent(account)}/${encodeURIComponent(name)}`), {
    everyMs: 2000,
  });
  const [forcing, setForcing] = useState(false);
  return html`<${Card} label="Lock" title=${html`<${Name} text=${name} clamp />`}
    tools=${html`<button class="button quiet icon small" aria-label="Close" data-close onClick=${onClose}><${Icon} name="close" /></button>`}>
    <${Loaded} call=${look}>${(lock) => html`<div class="body stack">
      <div class="toolbar">
        ${lock.Locked ? html`<${Pill} tone="accent" dot>held</${Pill}>` : html`<${Pill} tone="good">free</${Pill}>`}
        <${Pill}>${account}</${Pill}>
        <${Pill} tone=${lock.Waiters > 0 ? 'warn' : ''}>${plural(lock.Waiters, 'request')} waiting</${Pill}>
      </div>
      ${
        lock.Locked &&
        html`<dl class="facts">
        <dt>Holder says</dt><dd>${lock.Meta === undefined ? html`<span class="muted">nothing about itself</span>` : html`<${Said} text=${metaText(lock.Meta)} />`}</dd>
        <dt>Taken</dt><dd><${Ago} at=${lock.Since} /></dd>
        <dt>Ends</dt><dd><${Ago} at=${lock.TillMs} /> <span class="muted small">unless it is renewed</span></dd>
      </dl>`
      }
      ${
        lock.Waiting.length > 0 &&
        html`<div class="stack"><h2>Line</h2>
        <${Table} caption="Waiting" rows=${lock.Waiting.slice(0, 12)} keyOf=${(_, i) => i} columns=${[
          { label: 'Place', cell: (row) => String(lock.Waiting.indexOf(row) + 1) },
          {
            label: 'Waits',
            cell: (row) => row.Since && html`<span data-volatile>for ${duration(lock.Now - row.Since)}</span>`,
          },
          { label: 'Gives up', right: true, cell: (row) => row.Until && html`<${Ago} at=${row.Until} />` },
        ]} />
        ${lock.Waiters > 12 && html`<p class="muted small">and ${count(lock.Waiters - 12)} more behind them</p>`}</div>`
      }
      <div class="stack"><h2>Last leases</h2>
        ${
          lock.Ended.length === 0
            ? html`<p class="muted">None has ended within what the lock remembers.</p>`
            : html`<${Table} caption="Last leases" rows=${lock.Ended} keyOf=${(_, i) => i} columns=${[
                { label: 'Ended', cell: (row) => html`<${Ago} at=${row.AtMs} />` },
                {
                  label: 'How',
                  cell: (row) =>
                    html`<${Pill} tone=${endings[row.Why]?.[0]}>${endings[row.Why]?.[1] ?? row.Why}</${Pill}>`,
                },
                {
                  label: 'Reason',
                  cell: (row) =>
                    row.Reason !== undefined && html`<span class="small"><${Said} text=${row.Reason} /></span>`,
                },
              ]} />`
        }</div>
      ${lock.Locked && may('force') && html`<div><button class="button danger" onClick=${() => setForcing(true)}>Force unlock…</button></div>`}
      ${lock.Locked && !may('force') && html`<p class="muted small">To end this lease takes a token with the scope “force”.</p>`}
      ${forcing && html`<${Force} account=${account} name=${name} lock=${lock} onClose=${() => setForcing(false)} onDone=${look.again} />`}
    </div>`}</${Loaded}>
  </${Card}>`;
}

function Force({ account, name, lock, onClose, onDone }) {
  const [reason, setReason] = useState('');
  return html`<${Confirm} title="Take this lock from its holder?" action="Force unlock" typed=${name} onClose=${onClose}
    run=${async () => {
      await call('DELETE', dataPath(account, 'lock', name, { force: 1, reason: reason.trim() }));
      onDone();
    }}>
    <${Notice}>The holder${lock.Meta === undefined ? '' : html` <b><${Said} text=${metaText(lock.Meta)} /></b>`} goes on working until it hears of it. Its writes are refused only where it guards them with the lock’s fencing token.</${Notice}>
    <p class="muted">${lock.Waiters > 0 ? `The next of ${plural(lock.Waiters, 'request')} has the lock at once.` : 'Nobody waits for it.'} The audit log keeps who did this, and why.</p>
    <label class="form-row"><span>Reason (the holder is told)</span>
      <input class="field" maxlength="200" value=${reason} placeholder="worker-17 hangs since 03:10" onInput=${(event) => setReason(event.target.value)} /></label>
  </${Confirm}>`;
}
