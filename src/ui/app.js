/** The frame: login, navigation, keys of the keyboard, and the page that the address names. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { CallError, forgetToken, get, hasToken, useToken, whenRefused } from './api.js';
import { count, duration } from './format.js';
import { html, render } from './html.js';
import { Icon } from './icons.js';
import { AccountsPage } from './page-accounts.js';
import { AuditPage } from './page-audit.js';
import { BackupsPage } from './page-backups.js';
import { KeysPage } from './page-keys.js';
import { LocksPage } from './page-locks.js';
import { OverviewPage } from './page-overview.js';
import { QueuesPage } from './page-queues.js';
import { ScriptsPage } from './page-scripts.js';
import { ServerPage } from './page-server.js';
import { TasksPage } from './page-tasks.js';
import { TrafficPage } from './page-traffic.js';
import { WatchesPage } from './page-watches.js';
import { Dialog, Pill } from './parts.js';
import {
  connection,
  go,
  may,
  me,
  overview,
  paused,
  readRoute,
  routeTo,
  startLive,
  stopLive,
  useStore,
} from './store.js';

/** `scope` absent: every token that may log in. */
const pages = [
  { id: 'overview', key: 'o', title: 'Overview', view: OverviewPage },
  { id: 'accounts', key: 'a', title: 'Accounts', view: AccountsPage, scope: 'admin' },
  { id: 'keys', key: 'k', title: 'Keys', view: KeysPage, scope: 'read' },
  { id: 'locks', key: 'l', title: 'Locks', view: LocksPage, scope: 'admin', count: (now) => now.Waiters },
  { id: 'queues', key: 'q', title: 'Queues', view: QueuesPage, scope: 'read' },
  { id: 'tasks', key: 'd', title: 'Tasks', view: TasksPage, scope: 'read' },
  { id: 'scripts', key: 'c', title: 'Scripts', view: ScriptsPage, scope: 'read' },
  {
    id: 'watches',
    key: 'w',
    title: 'Watches',
    view: WatchesPage,
    scope: 'admin',
    count: (now) => now.Watchers + now.Streams,
  },
  { id: 'traffic', key: 't', title: 'Traffic', view: TrafficPage, scope: 'operator' },
  { id: 'backups', key: 'b', title: 'Backups', view: BackupsPage, scope: 'operator' },
  { id: 'audit', key: 'u', title: 'Audit log', view: AuditPage, scope: 'admin' },
  { id: 'server', key: 's', title: 'Server', view: ServerPage, scope: 'operator' },
];
const onBottom = new Set(['overview', 'keys', 'locks', 'queues']);

function allowedPages() {
  return pages.filter(({ scope }) => scope === undefined || may(scope));
}

/** The server needs no token; it says so in the page. */
const isOpen = document.documentElement.dataset.token === 'none';
const themedAs = 'dragonlock-theme';

function useTheme() {
  const [theme, setTheme] = useState(sessionStorage.getItem(themedAs) ?? '');
  useEffect(() => {
    if (theme === '') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    sessionStorage.setItem(themedAs, theme);
  }, [theme]);
  const isDark = theme === '' ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
  return [isDark, () => setTheme(isDark ? 'light' : 'dark')];
}

function Login({ onDone, problem }) {
  const [token, setToken] = useState('');
  const [keep, setKeep] = useState(false);
  const [error, setError] = useState(problem);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    useToken(token.trim(), keep);
    try {
      onDone(await get('admin/me'));
    } catch (failure) {
      forgetToken();
      setBusy(false);
      setError(
        failure instanceof CallError
          ? failure.status === 401
            ? 'The server does not know this token.'
            : failure.message
          : 'The server does not answer.',
      );
    }
  };
  return html`<main class="login"><form class="card" onSubmit=${submit}>
    <img src="icon.svg" alt="" />
    <div><h1>Dragon Lock</h1><p class="muted">${location.host}</p></div>
    <label class="form-row"><span>Token</span>
      <input class="field mono" type="password" name="token" autocomplete="off" autofocus value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
    <label class="check"><input type="checkbox" checked=${keep} onChange=${(event) => setKeep(event.target.checked)} />Keep it for this tab</label>
    ${error !== undefined && html`<p class="error" role="alert">${error}</p>`}
    <button class="button primary" disabled=${busy || token.trim() === ''}>Log in</button>
    <p class="muted small">One of the tokens of config.yml. With the scope “operator” you see the server, with “admin” your accounts.</p>
  </form></main>`;
}

function NavItem({ page, now, current }) {
  const number = page.count === undefined || now === undefined ? undefined : page.count(now);
  return html`<a href=${routeTo(page.id)} aria-current=${current === page.id ? 'page' : undefined}>
    <${Icon} name=${page.id} />${page.title}${number > 0 && html`<span class="count" data-volatile>${count(number)}</span>`}</a>`;
}

function StatePill() {
  const state = useStore(connection);
  const now = useStore(overview);
  const isPaused = useStore(paused);
  if (!may('operator')) return null;
  if (isPaused) return html`<${Pill} tone="warn">paused</${Pill}>`;
  if (state === 'lost') return html`<${Pill} tone="bad"><span role="status">no answer, trying again</span></${Pill}>`;
  if (now === undefined) return html`<${Pill}>connecting</${Pill}>`;
  return html`<${Pill} tone="good" dot>ready<span class="wide-only" data-volatile>· up ${duration(now.UptimeS * 1000)}</span></${Pill}>`;
}

const shortcuts = [
  ['g then a letter', `go to a page: ${pages.map(({ key, title }) => `${key} ${title}`).join(', ')}`],
  ['/', 'search on this page'],
  ['j  k', 'next row, row before'],
  ['Enter', 'open the row'],
  ['Esc', 'close what is open'],
  ['p', 'stop and go on with live numbers'],
  ['?', 'this list'],
];

function Help({ onClose }) {
  return html`<${Dialog} title="Keys of the keyboard" onClose=${onClose} onSubmit=${onClose}>
    <dl class="facts">${shortcuts.map(([keys, words]) => html`<dt key=${keys}>${keys.split(' ').map((part) => (part.length <= 5 && part !== 'then' && part !== '' && part !== 'a' ? html`<kbd>${part}</kbd> ` : `${part} `))}</dt><dd>${words}</dd>`)}</dl>
    <div class="actions"><button class="button primary">Close</button></div>
  </${Dialog}>`;
}

function More({ current, onClose }) {
  return html`<${Dialog} title="More" onClose=${onClose} onSubmit=${onClose}>
    <nav class="more-grid nav">${allowedPages()
      .filter(({ id }) => !onBottom.has(id))
      .map(
        (page) => html`<span key=${page.id} onClick=${onClose}><${NavItem} page=${page} current=${current} /></span>`,
      )}</nav>
    <div class="actions"><button class="button">Close</button></div>
  </${Dialog}>`;
}

function useShortcuts(setHelp) {
  const pending = useRef(0);
  useEffect(() => {
    const onKey = (event) => {
      const { target, key } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') !== null) return;
      if (target.matches('input, textarea, select')) {
        if (key === 'Escape') target.blur();
        return;
      }
      if (Date.now() - pending.current < 1200) {
        pending.current = 0;
        const page = allowedPages().find((each) => each.key === key);
        if (page !== undefined) {
          event.preventDefault();
          go(page.id);
        }
        return;
      }
      const run = {
        g: () => (pending.current = Date.now()),
        '/': () => document.querySelector('[data-search]')?.focus(),
        '?': () => setHelp(true),
        p: () => paused.set(!paused.get()),
        j: () => moveRow(1),
        k: () => moveRow(-1),
        Escape: () => document.querySelector('[data-close]')?.click(),
      }[key];
      if (run === undefined) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

function moveRow(step) {
  const rows = [...document.querySelectorAll('[data-open]')];
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement);
  const next = rows[at === -1 ? (step > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + step))];
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}

function Frame({ onLogout }) {
  const [route, setRoute] = useState(readRoute());
  const [help, setHelp] = useState(false);
  const [more, setMore] = useState(false);
  const [isDark, switchTheme] = useTheme();
  const now = useStore(overview);
  const isPaused = useStore(paused);
  const who = useStore(me);
  useShortcuts(setHelp);
  useEffect(() => {
    const onHash = () => setRoute(readRoute());
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, []);
  const allowed = allowedPages();
  const page = allowed.find(({ id }) => id === route.page) ?? allowed[0];
  useEffect(() => {
    document.title = `${page.title} · Dragon Lock`;
    document.querySelector('.content')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [page.id]);
  return html`<div class=${isPaused ? 'shell paused' : 'shell'}>
    <aside class="side">
      <a class="brand" href=${routeTo('overview')}><img src="icon.svg" alt="" />Dragon Lock</a>
      <nav class="nav" aria-label="Pages">${allowed.map((each) => html`<${NavItem} key=${each.id} page=${each} now=${now} current=${page.id} />`)}</nav>
      <div class="side-foot">
        <span>${who.Open ? 'no tokens: everything is allowed' : html`token <b>${who.Name}</b>`}</span>
        ${now !== undefined && html`<span>version ${now.Version}</span>`}
        <span><kbd>?</kbd> keys</span>
      </div>
    </aside>
    <div class="main">
      <header class="top">
        <h1>${page.title}</h1>
        <${StatePill} />
        ${may('operator') && html`<button class="button quiet icon" aria-label=${isPaused ? 'Go on with live numbers' : 'Pause live numbers'} aria-pressed=${isPaused} onClick=${() => paused.set(!isPaused)}><${Icon} name=${isPaused ? 'play' : 'pause'} /></button>`}
        <button class="button quiet icon" aria-label=${isDark ? 'Light colours' : 'Dark colours'} onClick=${switchTheme}><${Icon} name=${isDark ? 'sun' : 'moon'} /></button>
        <button class="button quiet icon wide-only" aria-label="Keys of the keyboard" onClick=${() => setHelp(true)}><${Icon} name="help" /></button>
        ${!who.Open && html`<button class="button quiet icon" aria-label="Log out" onClick=${onLogout}><${Icon} name="out" /></button>`}
      </header>
      <main class="content" tabindex="-1" aria-label=${page.title}><${page.view} key=${page.id} query=${route.query} /></main>
    </div>
    <nav class="bottom-nav" aria-label="Pages">
      ${allowed.filter(({ id }) => onBottom.has(id)).map(({ id, title }) => html`<a key=${id} href=${routeTo(id)} aria-current=${page.id === id ? 'page' : undefined}><${Icon} name=${id} />${title}</a>`)}
      <button onClick=${() => setMore(true)} aria-current=${onBottom.has(page.id) ? undefined : 'page'}><${Icon} name="more" />More</button>
    </nav>
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}
    ${more && html`<${More} current=${page.id} onClose=${() => setMore(false)} />`}
  </div>`;
}

function App() {
  const [state, setState] = useState('asking');
  const [problem, setProblem] = useState();
  const enter = (who) => {
    me.set(who);
    setState('in');
    startLive();
  };
  const leave = (why) => {
    stopLive();
    forgetToken();
    me.set(undefined);
    overview.set(undefined);
    setProblem(why);
    setState('out');
  };
  useEffect(() => {
    if (!hasToken() && !isOpen) return setState('out');
    get('admin/me').then(enter, (error) => {
      if (error instanceof CallError && error.status === 401) return setState('out');
      setProblem(error instanceof CallError ? error.message : 'The server does not answer.');
      setState('out');
    });
    whenRefused(() => me.get() !== undefined && leave('The server does not take this token any more.'));
  }, []);
  if (state === 'asking') return html`<main class="booting"><div class="boot-mark"></div><p>Dragon Lock</p></main>`;
  if (state === 'out') return html`<${Login} onDone=${enter} problem=${problem} />`;
  return html`<${Frame} onLogout=${() => leave(undefined)} />`;
}

const root = document.getElementById('app');
root.className = '';
root.replaceChildren();
render(html`<${App} />`, root);
