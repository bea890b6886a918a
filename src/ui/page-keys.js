/**
 * Keys by folder. A list asks for sizes only, and for one level; a value is asked for when its key is opened. Of a large
 * value the first 64 KiB are shown: the rest would make the page stand still.
 */
import { useEffect, useState } from 'preact/hooks';
import { call, CallError, dataPath, get } from './api.js';
import { bytes, visibleJson } from './format.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import {
  AccountPicker,
  Ago,
  Card,
  Confirm,
  CopyButton,
  Dialog,
  Empty,
  Failure,
  Loaded,
  Name,
  Pager,
  Pill,
  useFirstAccount,
} from './parts.js';
import { chooserOf, go, lastAccount, may, serverNow, useCall } from './store.js';

const shownBytes = 64 * 1024;
const editableBytes = 256 * 1024;

const choose = chooserOf('keys');

export function KeysPage({ query }) {
  const { account = lastAccount(), prefix = '', key, after } = query;
  useFirstAccount(account, choose);
  const to = (change) => go('keys', { account, prefix, after, key, ...change });
  const path =
    account === ''
      ? undefined
      : dataPath(account, 'kv', undefined, { prefix, after, delimiter: '/', values: 'false', limit: 100 });
  const list = useCall(path, { everyMs: 5000 });
  const [making, setMaking] = useState(false);
  return html`
    <div class="toolbar">
      <${AccountPicker} value=${account} onChange=${choose} />
      <${PrefixField} key=${`${account}/${prefix}`} value=${prefix} onChange=${(text) => to({ prefix: text, after: undefined, key: undefined })} />
      ${may('write') && account !== '' && html`<button class="button" onClick=${() => setMaking(true)}>New key</button>`}
    </div>
    <div class=${key === undefined ? 'grid' : 'grid split'}>
      <${Card} label="Keys" title=${html`<${Crumbs} prefix=${prefix} onChange=${(text) => to({ prefix: text, after: undefined, key: undefined })} />`}>
        ${
          account === ''
            ? html`<${Empty} icon="keys" title="No account has anything yet"><p>A key begins with its first write.</p></${Empty}>`
            : html`<${Loaded} call=${list}>${(page) => html`<${Rows} page=${page} prefix=${prefix} chosen=${key}
              onFolder=${(folder) => to({ prefix: folder, after: undefined, key: undefined })} onKey=${(name) => to({ key: name })} />
              <${Pager} more=${page.More} isFirst=${after === undefined} onNext=${() => to({ after: page.After })} onFirst=${() => to({ after: undefined })} />`}
            </${Loaded}>`
        }
      </${Card}>
      ${key !== undefined && account !== '' && html`<${KeyCard} key=${`${account}\u0000${key}`} account=${account} name=${key} onClose=${() => to({ key: undefined })} onChange=${list.again} />`}
    </div>
    ${
      making &&
      html`<${Editor} account=${account} entry=${undefined} prefix=${prefix} onClose=${() => setMaking(false)}
      onSaved=${(name) => {
        setMaking(false);
        list.again();
        to({ key: name });
      }} />`
    }`;
}

function PrefixField({ value, onChange }) {
  const [text, setText] = useState(value);
  const submit = (event) => {
    event.preventDefault();
    onChange(text);
  };
  return html`<form class="grow" role="search" onSubmit=${submit}>
    <input class="field mono" type="search" data-search value=${text} placeholder="Prefix, for example app/" aria-label="Prefix"
      spellcheck=${false} autocapitalize="off" onInput=${(event) => setText(event.target.value)} onChange=${(event) => onChange(event.target.value)} />
  </form>`;
}

function Crumbs({ prefix, onChange }) {
  const parts = prefix.split('/');
  const last = parts.pop();
  const steps = parts.map((part, i) => ({ part, path: `${parts.slice(0, i + 1).join('/')}/` }));
  const few = steps.length > 4 ? [steps[0], undefined, ...steps.slice(-2)] : steps;
  return html`<span class="crumbs">
    <button onClick=${() => onChange('')}>All keys</button>
    ${few.map((step) => html`<span class="muted">/</span>${step === undefined ? html`<span class="muted">…</span>` : html`<button key=${step.path} onClick=${() => onChange(step.path)}><${Name} text=${step.part === '' ? '∅' : step.part} clamp /></button>`}`)}
    ${last !== '' && html`<span class="muted">/</span><${Name} text=${last} clamp />*`}
  </span>`;
}

function Rows({ page, prefix, chosen, onFolder, onKey }) {
  const rows = [
    ...page.Folders.map((folder) => ({ key: folder, folder: true })),
    ...page.KV.map((row) => ({ key: row.Key, row })),
  ].toSorted((a, b) => Number(b.folder ?? false) - Number(a.folder ?? false));
  if (rows.length === 0)
    return html`<${Empty} icon="keys" title=${prefix === '' ? 'This account has no keys' : 'No key begins with this'}>
      <p>${prefix === '' ? 'It may have locks, counters or queues.' : 'Prefixes are exact, upper and lower case included.'}</p></${Empty}>`;
  return html`<ul class="rows">
    ${rows.map(
      ({ key, folder, row }) => html`<li key=${`${folder ? 'f' : 'k'}${key}`}>
      <button data-open aria-current=${key === chosen && !folder ? 'true' : undefined} onClick=${() => (folder ? onFolder(key) : onKey(key))}>
        <${Icon} name=${folder ? 'folder' : 'file'} />
        <${Name} text=${key.slice(prefix.length) || key} clamp />
        ${row !== undefined && html`<span class="meta">${row.TillMs !== undefined && html`<${Ago} at=${row.TillMs} /> · `}${bytes(row.Bytes)}<span class="wide-only"> · v${row.Version}</span></span>`}
      </button></li>`,
    )}
  </ul>`;
}

function KeyCard({ account, name, onClose, onChange }) {
  const path = dataPath(account, 'kv', name);
  const [state, setState] = useState({});
  const [dialog, setDialog] = useState();
  const load = async () => {
    try {
      const entry = await get(path);
      const text = visibleJson(JSON.stringify(entry.Value, undefined, 2));
      setState({ entry, text, size: new Blob([text]).size });
    } catch (error) {
      setState({ error });
    }
  };
  useEffect(() => void load(), [path]);
  const { entry, text = '', size = 0, error } = state;
  const changed = () => {
    void load();
    onChange();
  };
  return html`<${Card} label="Key" title=${html`<${Name} text=${name} clamp />`}
    tools=${html`<button class="button quiet icon small" aria-label="Close" data-close onClick=${onClose}><${Icon} name="close" /></button>`}>
    <div class="body stack">
      <${Failure} error=${error} />
      ${
        entry !== undefined &&
        html`
        <div class="toolbar">
          <${Pill}>version ${entry.Version}</${Pill}>
          <${Pill}>${bytes(size)}</${Pill}>
          ${entry.TillMs === undefined ? html`<${Pill}>no expiry</${Pill}>` : html`<${Pill} tone="warn">expires <${Ago} at=${entry.TillMs} /></${Pill}>`}
        </div>
        <${ValueView} text=${text} size=${size} name=${name} />
        <div class="toolbar">
          ${
            may('write') &&
            html`<button class="button primary" disabled=${size > editableBytes} onClick=${() => setDialog('edit')}
            title=${size > editableBytes ? 'Too large to edit here: download it, and set it with curl' : undefined}>Edit</button>`
          }
          <${CopyButton} label="Copy value" text=${() => JSON.stringify(entry.Value)} />
          <${CopyButton} label="Copy curl" text=${() => curlOf(path)} />
          ${may('write') && html`<button class="button small" onClick=${() => setDialog('delete')}>Delete…</button>`}
        </div>`
      }
    </div>
    ${
      dialog === 'edit' &&
      html`<${Editor} account=${account} entry=${entry} text=${text} onClose=${() => setDialog()} onSaved=${() => {
        setDialog();
        changed();
      }} />`
    }
    ${
      dialog === 'delete' &&
      html`<${Confirm} title="Delete this key?" action="Delete" onClose=${() => setDialog()}
      run=${async () => {
        await call('DELETE', dataPath(account, 'kv', name, { ver: entry.Version }));
        onChange();
        onClose();
      }}>
      <p><${Name} text=${name} /></p>
      <p class="muted">Only version ${entry.Version} is deleted: if somebody has changed the key meanwhile, nothing happens.</p>
    </${Confirm}>`
    }
  </${Card}>`;
}

function curlOf(path) {
  return `curl -H "Authorization: Bearer $TOKEN" '${new URL(`../${path}`, location.href).href.replaceAll("'", "'\\''")}'`;
}

function ValueView({ text, size, name }) {
  const [all, setAll] = useState(false);
  const short = size > shownBytes && !all ? text.slice(0, shownBytes) : text;
  const download = () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = `${name.replaceAll(/[^\w.-]+/g, '_').slice(0, 80)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return html`<pre class="code" tabindex="0" aria-label="Value">${short}</pre>
    ${
      size > shownBytes &&
      html`<div class="toolbar"><span class="muted small">The first 64 KiB of ${bytes(size)}.</span>
      ${!all && size <= editableBytes && html`<button class="button small" onClick=${() => setAll(true)}>Show all</button>`}
      <button class="button small" onClick=${download}>Download</button></div>`
    }`;
}

/** Writes under the version that was seen: what somebody else has written meanwhile is shown, never lost. */
function Editor({ account, entry, text: before = '', prefix = '', onClose, onSaved }) {
  const [name, setName] = useState(entry?.Key ?? prefix);
  const [text, setText] = useState(before);
  const [ttl, setTtl] = useState(
    entry?.TillMs === undefined ? '' : String(Math.max(1, Math.round((entry.TillMs - serverNow()) / 1000))),
  );
  const [version, setVersion] = useState(entry?.Version ?? 0);
  const [theirs, setTheirs] = useState();
  const [error, setError] = useState();
  const [busy, setBusy] = useState(false);
  const isJson = jsonFault(text);
  const save = async () => {
    if (isJson !== undefined || name === '') return setError(new Error(isJson ?? 'A key needs a name.'));
    setBusy(true);
    setError(undefined);
    try {
      await call('POST', dataPath(account, 'kv', name, { ver: version, ttl }), { body: text });
      onSaved(name);
    } catch (failure) {
      setBusy(false);
      if (!(failure instanceof CallError) || failure.code !== 'version_mismatch') return setError(failure);
      const now = await get(dataPath(account, 'kv', name)).catch(() => undefined);
      setTheirs({
        version: failure.body.Version,
        text: now === undefined ? '' : visibleJson(JSON.stringify(now.Value, undefined, 2)),
      });
      setVersion(failure.body.Version);
    }
  };
  return html`<${Dialog} wide=${theirs !== undefined} title=${entry === undefined ? 'New key' : 'Edit'} onClose=${onClose} onSubmit=${save}>
    ${
      entry === undefined
        ? html`<label class="form-row"><span>Key</span><input class="field mono" value=${name} onInput=${(event) => setName(event.target.value)} spellcheck=${false} autofocus /></label>`
        : html`<p><${Name} text=${name} /> <span class="muted">in ${account}, written if it still has version ${version}</span></p>`
    }
    ${theirs !== undefined && html`<div class="notice" role="alert"><${Icon} name="warn" /><span>${theirs.version === 0 ? 'Somebody has deleted this key meanwhile.' : `Somebody has written version ${theirs.version} meanwhile.`} Nothing was written. Saving again puts yours in its place.</span></div>`}
    <div class=${theirs === undefined ? 'stack' : 'grid cols-2'}>
      <label class="form-row"><span>${theirs === undefined ? 'Value (JSON)' : 'Yours'}</span>
        <textarea class="field" value=${text} dir="auto" spellcheck=${false} onInput=${(event) => setText(event.target.value)} aria-invalid=${isJson !== undefined}></textarea></label>
      ${theirs !== undefined && html`<div class="form-row"><span>Theirs</span><pre class="code" tabindex="0">${theirs.text === '' ? '(deleted)' : theirs.text.slice(0, shownBytes)}</pre></div>`}
    </div>
    <label class="form-row"><span>Expires after (seconds; empty: never)</span>
      <input class="field" inputmode="decimal" value=${ttl} onInput=${(event) => setTtl(event.target.value)} style=${{ maxWidth: '180px' }} /></label>
    ${text !== '' && isJson !== undefined && html`<p class="error small">${isJson}</p>`}
    ${error !== undefined && html`<${Failure} error=${error.status === undefined && !(error instanceof TypeError) ? { status: 0, message: error.message } : error} />`}
    <div class="actions">
      ${theirs !== undefined && theirs.text !== '' && html`<button type="button" class="button" onClick=${() => setText(theirs.text)}>Take theirs</button>`}
      <button type="button" class="button" onClick=${onClose}>Cancel</button>
      <button type="submit" class="button primary" disabled=${busy}>${theirs === undefined ? 'Save' : `Write over version ${version}`}</button>
    </div>
  </${Dialog}>`;
}

function jsonFault(text) {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return text === '' ? 'A value is JSON, for example "text" or {"a": 1}.' : `Not JSON: ${error.message}`;
  }
}
