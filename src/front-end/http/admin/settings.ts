/** The settings in use, without secrets: what is one, or names a file with one, is only "set". */
import { listenText, type Listen } from '../../listen.ts';
import { configDefaults, type Config, type TokenConfig } from '../../config-schema.ts';

/** Members whose content nobody may see, whatever section they are in. */
const secret = /(^|_)(token|secret|password|sha256|access_key_id|cert|ca|key|key_file|identity)($|_)/;

export interface Setting {
  /** As in config.yml, with its section: `limits.body_bytes_max`. */
  readonly Name: string;
  readonly Value: unknown;
  /** Absent: it has the default. */
  readonly Default?: unknown;
}

export type ShownConfig = Omit<Config, 'tokens'>;

export function settingsOf(config: ShownConfig): Setting[] {
  const rows: Setting[] = [];
  const { tokens: _, ...all } = config as Config;
  addSettings(rows, '', all, configDefaults);
  return rows;
}

function addSettings(rows: Setting[], path: string, values: object, defaults: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values) as [string, unknown][]) {
    const full = path === '' ? name : `${path}.${name}`;
    const usual = defaults[name];
    if (full === 'listen' || full === 'resp.listen') {
      const places = [(value ?? []) as Listen | readonly Listen[]].flat();
      const [own, admin] = [places.filter((place) => !place.admin), places.filter((place) => place.admin)];
      rows.push(settingOf(full, own.map(listenText).join(', '), usual));
      if (full === 'listen') rows.push(settingOf('admin.listen', admin.map(listenText).join(', '), ''));
    } else if (full === 'http.socket_mode') {
      rows.push(settingOf(full, Number(value).toString(8).padStart(4, '0'), usual));
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      addSettings(rows, full, value, (usual ?? {}) as Record<string, unknown>);
    } else if (value !== undefined) {
      const isSet = value !== '' && value !== 0 && value !== false;
      rows.push(settingOf(full, secret.test(name) && isSet ? 'set' : value, usual));
    }
  }
}

function settingOf(Name: string, Value: unknown, usual: unknown): Setting {
  if (usual === undefined || usual === 'auto' || JSON.stringify(usual) === JSON.stringify(Value))
    return { Name, Value };
  return { Name, Value, Default: usual };
}

export function tokensOf(tokens: readonly TokenConfig[]): object[] {
  return tokens.map(({ name, accounts, scopes }) => ({ Name: name, Accounts: accounts, Scopes: scopes }));
}
