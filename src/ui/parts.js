/** The parts that pages are put together from. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { exact, relative, visible } from './format.js';
import { html } from './html.js';
import { Icon } from './icons.js';
import { get } from './api.js';
import { me, serverNow, useCall, useStore } from './store.js';

/** A name as its owner wrote it, with what cannot be seen made visible, and apart from the direction of the rest. */
export function Name({ text, clamp = false }) {
  return html`<bdi class=${clamp ? 'key clamp' : 'key'} dir="auto" title=${clamp ? text.slice(0, 600) : undefined}>
    ${visible(text).map((piece) =>
      piece.odd === undefined ? piece.text : html`<span class="odd">${piece.odd}</span>`,
    )}
  </bdi>`;
}

/** What somebody has said: as `Name`, in the type of the page. */
export function Said({ text }) {
  return html`<bdi class="said" dir="auto">${visible(text).map((piece) =>
    piece.odd === undefined ? piece.text : html`<span class="odd">${piece.odd}</span>`,
  )}</bdi>`;
}

/** A time, relative; exact on hover. */
export function Ago({ at, now = serverNow() }) {
  return html`<time dateTime=${exact(at)} title=${exact(at)} data-volatile>${relative(at, now)}</time>`;
}

export function Card({ title, tools, children, label, ...rest }) {
  return html`<section class="card" aria-label=${label ?? title} ...${rest}>
    ${
      (title ?? (tools || undefined)) !== undefined &&
      html`<header><h2>${title}</h2>${(tools ?? false) !== false && html`<div class="toolbar spacer">${tools}</div>`}</header>`
    }
    ${children}
  </section>`;
}

export function Pill({ tone = '', dot = false, children }) {
  return html`<span class=${`pill ${tone}`}>${dot && html`<span class="dot live"></span>`}${children}</span>`;
}

export function Empty({ icon = 'file', title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} /><b>${title}</b>${children}</div>`;
}

export function Notice({ tone = 'warn', children, link }) {
  return html`<div class=${`notice ${tone}`} role="status"><${Icon} name=${tone === 'good' ? 'help' : 'warn'} /><span>${children}</span>${link}</div>`;
}

/** What went wrong with a call, and what would work. */
export function Failure({ error }) {
  if (error === undefined) return null;
  const text = error.status === undefined ? 'The server does not answer; trying again.' : error.message;
  return html`<${Notice} tone="bad">${text}</${Notice}>`;
}

/** Shows the content of a call: failures, a wait, and what came. */
export function Loaded({ call, children }) {
  if (call.data === undefined && call.error === undefined)
    return html`<div class="empty" aria-busy="true"><span class="muted">Loading…</span></div>`;
  return html`${call.error !== undefined && html`<div class="body"><${Failure} error=${call.error} /></div>`}
    ${call.data !== undefined && children(call.data)}`;
}

/** A line over time without axes. @param values newest last */
export function Spark({ values, tone = 'accent', max }) {
  if (values.length < 2) return html`<div class="chart" aria-hidden="true"></div>`;
  const top = Math.max(max ?? 0, ...values, 1e-9);
  const points = values.map((value, i) => [(i / (values.length - 1)) * 100, 30 - (value / top) * 27]);
  const line = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x.toFixed(2)} ${y.toFixed(2)}`).join('');
  return html`<div class=${`chart tone-${tone}`} aria-hidden="true" data-volatile>
    <svg viewBox="0 0 100 30" preserveAspectRatio="none">
      <path class="area" d=${`${line}L100 30L0 30Z`} /><path class="line" d=${line} />
    </svg>
  </div>`;
}

export function Stat({ label, value, unit, values, tone, hint }) {
  return html`<div class="card stat" title=${hint}>
    <span class="label">${label}</span>
    <span class="value" data-volatile>${value}${unit !== undefined && html`<span class="unit">${unit}</span>`}</span>
    ${values !== undefined && html`<${Spark} values=${values} tone=${tone} />`}
  </div>`;
}

/**
 * A table whose rows are cards on a phone.
 * @param columns `{ label, cell, right?, name?, main? }`; beside a card only those that are `main` have room
 */
export function Table({ columns: all, compact = false, rows, keyOf, onOpen, chosen, caption }) {
  const columns = compact ? all.filter(({ main }) => main) : all;
  return html`<table class="table">
    <caption class="visually-hidden">${caption}</caption>
    <thead><tr>${columns.map(({ label, right }) => html`<th scope="col" class=${right ? 'right' : ''}>${label}</th>`)}</tr></thead>
    <tbody>
      ${rows.map((row, index) => {
        const key = keyOf(row, index);
        const classes = `${onOpen === undefined ? '' : 'opens'} ${chosen === key ? 'chosen' : ''}`;
        return html`<tr key=${key} class=${classes} data-row onClick=${onOpen && (() => onOpen(row))}>
          ${columns.map(({ label, cell, right, name }, i) => {
            const content = cell(row);
            const isEmpty = content === '' || content === null || content === undefined || content === false;
            return html`<td class=${`${right ? 'right' : ''} ${name ? 'name' : ''} ${isEmpty ? 'empty-cell' : ''}`}
              data-label=${i === 0 ? undefined : label}>
              ${
                i === 0 && onOpen !== undefined
                  ? html`<button class="linklike" data-open onClick=${(event) => {
                      event.stopPropagation();
                      onOpen(row);
                    }}>${content}</button>`
                  : content
              }
            </td>`;
          })}
        </tr>`;
      })}
    </tbody>
  </table>`;
}

/** A dialog of the browser: it keeps the focus, and Escape closes it. */
export function Dialog({ title, onClose, children, wide = false, onSubmit }) {
  const element = useRef();
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    return () => before instanceof HTMLElement && before.isConnected && before.focus();
  }, []);
  const submit = (event) => {
    event.preventDefault();
    onSubmit?.();
  };
  return html`<dialog ref=${element} class=${wide ? 'wide' : ''} aria-label=${title}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}>
    <form method="dialog" onSubmit=${submit}><h2>${title}</h2>${children}</form>
  </dialog>`;
}

/**
 * Asks before something is done that cannot be undone.
 * @param typed what has to be typed first, if anything
 */
export function Confirm({ title, children, action, typed, danger = true, onClose, run }) {
  const [text, setText] = useState('');
  const [error, setError] = useState();
  const [busy, setBusy] = useState(false);
  const ready = (typed === undefined || text === typed) && !busy;
  const submit = async () => {
    if (!ready) return;
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} onSubmit=${submit}>
    ${children}
    ${
      typed !== undefined &&
      html`<label class="form-row"><span>Type <${Name} text=${typed} /> to go on</span>
      <input class="field mono" value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" spellcheck=${false} />
    </label>`
    }
    <${Failure} error=${error} />
    <div class="actions">
      <button type="button" class="button" onClick=${onClose}>Cancel</button>
      <button type="submit" class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${!ready}>${action}</button>
    </div>
  </${Dialog}>`;
}

/** Chooses an account: of those that the token may use, and that have something. */
export function AccountPicker({ value, onChange, all }) {
  const { Accounts } = useStore(me) ?? { Accounts: [] };
  const listed = useCall(Accounts === '*' ? 'admin/accounts?limit=100' : undefined);
  const names = Accounts === '*' ? (listed.data?.Accounts ?? []).map(({ Account }) => Account) : Accounts;
  const shown = value !== '' && !names.includes(value) ? [value, ...names] : names;
  const other = () => {
    // oxlint-disable-next-line no-alert -- one line of text is all that is asked for
    const typed = prompt('Account');
    if (typed !== null && /^[\w.-]{1,64}$/.test(typed)) onChange(typed);
  };
  return html`<label><span class="visually-hidden">Account</span>
    <select class="field" value=${value} onChange=${(event) => (event.target.value === '\u0001' ? other() : onChange(event.target.value))}>
      ${all === undefined ? value === '' && html`<option value="">Choose an account</option>` : html`<option value="">${all}</option>`}
      ${shown.map((name) => html`<option value=${name} key=${name}>${name}</option>`)}
      ${Accounts === '*' && html`<option value=${'\u0001'}>Another…</option>`}
    </select>
  </label>`;
}

/** Chooses the first account by itself when there is none in the address. */
export function useFirstAccount(value, choose) {
  const { Accounts } = useStore(me) ?? { Accounts: [] };
  useEffect(() => {
    if (value !== '') return;
    if (Accounts !== '*') {
      if (Accounts[0] !== undefined) choose(Accounts[0]);
      return;
    }
    void get('admin/accounts?limit=1').then(
      ({ Accounts: found }) => found[0] !== undefined && choose(found[0].Account),
      () => {},
    );
  }, [value, Accounts]);
}

/** Pages of a list: `after` is in the address, so that Back works. */
export function Pager({ more, onNext, onFirst, isFirst }) {
  if (isFirst && !more) return null;
  return html`<div class="toolbar body">
    <button class="button small" disabled=${isFirst} onClick=${onFirst}>First page</button>
    <button class="button small" disabled=${!more} onClick=${onNext}>Next page</button>
  </div>`;
}

export function CopyButton({ text, label = 'Copy' }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="button small" onClick=${copy}>${done ? 'Copied' : label}</button>`;
}
