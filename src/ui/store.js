/** What all parts of the page share: the overview as it comes, the choice of an account, the server's clock. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { CallError, follow, get } from './api.js';

class Store {
  #value;
  #listeners = new Set();

  constructor(value) {
    this.#value = value;
  }

  get() {
    return this.#value;
  }

  set(value) {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useStore(store) {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.listen(setValue);
  }, [store]);
  return value;
}

export const me = new Store(undefined);
/** Undefined until the first event; only for tokens with the scope `operator`. */
export const overview = new Store(undefined);
/** `live`, `lost`, `full`, `off`. */
export const connection = new Store('off');
export const paused = new Store(false);
/** How far the server's clock is ahead of this computer's. */
let aheadMs = 0;

export function serverNow() {
  return Date.now() + aheadMs;
}

export function may(scope) {
  return me.get()?.Scopes.includes(scope) ?? false;
}

const retryMs = 1500;
const hiddenMs = 4000;
let stream;
let isStarted = false;

/** Follows the overview while the page is seen, and comes back by itself. */
export function startLive() {
  if (isStarted) {
    void connect();
    return;
  }
  isStarted = true;
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) setTimeout(() => document.hidden && stopLive(), hiddenMs);
    else void connect();
  });
  paused.listen((is) => (is ? stopLive() : void connect()));
  void connect();
}

export function stopLive() {
  stream?.abort();
  stream = undefined;
}

async function connect() {
  if (stream !== undefined || paused.get() || !may('operator')) return;
  const own = new AbortController();
  stream = own;
  while (!own.signal.aborted) {
    try {
      await follow('admin/live', own.signal, (event) => {
        if (typeof event.Now === 'number') aheadMs = event.Now - Date.now();
        connection.set('live');
        overview.set({ ...overview.get(), ...event });
      });
    } catch (error) {
      if (own.signal.aborted) return;
      if (error instanceof CallError && error.status === 429) connection.set('full');
      else if (error instanceof CallError && error.status < 500) return connection.set('off');
    }
    if (own.signal.aborted) return;
    if (connection.get() !== 'full') connection.set('lost');
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/**
 * What the server says about `path`: again every `everyMs` while the page is seen, and when `again` is called.
 * @param path undefined: nothing is asked
 */
export function useCall(path, { everyMs = 0 } = {}) {
  const [state, setState] = useState({ path, data: undefined, error: undefined });
  const [turn, setTurn] = useState(0);
  const latest = useRef(path);
  latest.current = path;
  useEffect(() => {
    if (path === undefined) return undefined;
    const ends = new AbortController();
    const ask = async () => {
      try {
        const data = await get(path, { signal: ends.signal });
        if (typeof data.Now === 'number') aheadMs = data.Now - Date.now();
        setState({ path, data, error: undefined });
      } catch (error) {
        if (ends.signal.aborted) return;
        setState((before) => ({ path, data: before.path === path ? before.data : undefined, error }));
      }
    };
    void ask();
    const timer = everyMs === 0 ? undefined : setInterval(() => document.hidden || paused.get() || void ask(), everyMs);
    return () => {
      ends.abort();
      clearInterval(timer);
    };
  }, [path, turn, everyMs]);
  const current = state.path === path ? state : { data: undefined, error: undefined };
  return { data: current.data, error: current.error, again: () => setTurn((n) => n + 1) };
}

/** The part of the address behind `#`: `/keys?account=shop&prefix=app/`. */
export function readRoute() {
  const [page = '', search = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { page: page === '' ? 'overview' : page, query: Object.fromEntries(new URLSearchParams(search)) };
}

export function routeTo(page, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(pairs).toString();
  return `#/${page}${search === '' ? '' : `?${search}`}`;
}

export function go(page, query) {
  location.hash = routeTo(page, query);
}

/** The account that pages about data show: the one in the address, or the one that was chosen last. */
const chosenAs = 'dragonlock-account';

export function lastAccount() {
  return sessionStorage.getItem(chosenAs) ?? '';
}

export function rememberAccount(account) {
  if (account !== '') sessionStorage.setItem(chosenAs, account);
}

/** Returns what a page does with the account that somebody chooses on it. */
export function chooserOf(page) {
  return (account) => {
    rememberAccount(account);
    go(page, { account });
  };
}
