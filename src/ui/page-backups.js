import { useState } from 'preact/hooks';
import { call } from './api.js';
import { bytes, count } from './format.js';
import { html } from './html.js';
import { Ago, Card, Confirm, CopyButton, Empty, Failure, Loaded, Notice, Pill, Stat } from './parts.js';
import { overview, serverNow, useCall, useStore } from './store.js';

const tones = { shipping: 'good', starting: '', off: '', failing: 'bad' };
const words = {
  shipping: 'Everything durable goes to the repository each second.',
  starting: 'The server looks at the repository.',
  failing: 'The storage does not take what is sent; the server tries again and again.',
  superseded: 'Another server has taken over this repository. If this is the right one, adopt it.',
  unadopted: 'This directory was restored, and makes no backups until it is adopted.',
  foreign: 'The repository has the log of another server.',
  rolled_back: 'The data directory is older than its own backup.',
  damaged: 'The repository is damaged; see dragonlock verify.',
};

export function BackupsPage() {
  const now = useStore(overview);
  const isOff = now !== undefined && now.Backup === undefined;
  const status = useCall(now === undefined || isOff ? undefined : 'admin/backups', { everyMs: 2000 });
  const [dialog, setDialog] = useState();
  const [error, setError] = useState();
  const copy = () => call('POST', 'admin/backups').then(status.again, setError);
  if (isOff)
    return html`<${Card} title="Backups"><${Empty} icon="backups" title="No backups are made">
      <p>With a place for them, the server ships each commit within a second, and a copy each day. In config.yml:</p>
      <pre class="code">backup:\n  url: s3://bucket/prefix      # or file:///mnt/backups</pre></${Empty}></${Card}>`;
  return html`<${Loaded} call=${status}>${(now) => html`
    ${now.State !== 'shipping' && now.State !== 'starting' && html`<${Notice} tone="bad">${words[now.State] ?? now.State}</${Notice}>`}
    <div class="grid cols-4">
      <${Stat} label="State" value=${html`<${Pill} tone=${tones[now.State] ?? 'warn'} dot>${now.State}</${Pill}>`} />
      <${Stat} label="Last caught up" value=${now.CaughtUpAtMs > 0 ? html`<${Ago} at=${now.CaughtUpAtMs} now=${serverNow()} />` : '–'} />
      <${Stat} label="Last copy" value=${now.CopyAtMs > 0 ? html`<${Ago} at=${now.CopyAtMs} />` : now.Copying ? 'being made' : '–'} />
      <${Stat} label="Gaps" value=${count(now.Gaps)} hint="Stretches that cannot be restored to" />
    </div>
    <${Card} title="Repository" tools=${html`<button class="button" disabled=${now.Copying} onClick=${copy}>${now.Copying ? 'Copying…' : 'Copy now'}</button>
      ${['superseded', 'unadopted'].includes(now.State) && html`<button class="button danger" onClick=${() => setDialog('adopt')}>Adopt…</button>`}`}>
      <div class="body stack"><${Failure} error=${error} />
        <dl class="facts">
          <dt>Writer</dt><dd class="number">${count(now.Writer)}</dd>
          <dt>Shipped up to</dt><dd class="number">revision ${count(now.Shipped)}${now.ShippedAtMs > 0 && html`, <${Ago} at=${now.ShippedAtMs} />`}</dd>
          <dt>Newest copy</dt><dd class="number">${now.CopyRev > 0 ? `revision ${count(now.CopyRev)}` : 'none since the start'}</dd>
          <dt>Held in the journal</dt><dd>${bytes(now.HeldBytes)} <span class="muted">for what is not shipped yet</span></dd>
        </dl></div>
    </${Card}>
    <${Card} title="To get yesterday back" tools=${html`<${CopyButton} text=${() => restore} />`}>
      <div class="body stack"><p class="muted">A restore is run by hand, into an empty directory. It never gives a lock to two holders, and no revision twice.</p>
        <pre class="code">${restore}</pre></div>
    </${Card}>
    ${
      dialog === 'adopt' &&
      html`<${Confirm} title="Make the backups from here on?" action="Adopt" onClose=${() => setDialog()} run=${async () => {
        await call('POST', 'admin/backups/adopt');
        status.again();
      }}>
      <${Notice}>The server that makes them now stops doing so. Adopt only if that one is gone for good.</${Notice}></${Confirm}>`
    }`}</${Loaded}>`;
}

const restore = `dragonlock backups URL                        # what can be restored
dragonlock restore URL --data-dir NEW --at 2026-11-26T08:00:00Z
dragonlock restore URL --data-dir NEW --dry-run    # only says what it would do`;
