type Thing =
  | 'kv'
  | 'counter'
  | 'sequence'
  | 'lock'
  | 'mlock'
  | 'munlock'
  | 'usage'
  | 'script'
  | 'call'
  | 'eval'
  | 'export'
  | 'import'
  | ''
  | QueueThing
  | TaskThing;
type TaskThing = 'task' | 'run' | 'pause/task' | 'resume/task' | 'flow' | 'secret/webhook';
type QueueThing = 'queue' | 'peek' | 'purge' | 'redrive' | 'pause/queue' | 'resume/queue';
type Query = Readonly<Record<string, string | number | undefined>>;

/** Makes a path such as `/db/acc/kv/a%2Fb?ver=3`; without an id, the path of the list. */
export function pathOf(account: string, thing: Thing, id: string | undefined, query: Query = {}): string {
  const text = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&');
  const place = id === undefined ? '' : `/${encodeURIComponent(id)}`;
  return `/db/${account}${thing === '' ? '' : '/'}${thing}${place}${text === '' ? '' : `?${text}`}`;
}
