/**
 * Reloads the configuration while the server runs: on SIGHUP, or by `POST /admin/reload`. The whole of it is read and
 * checked as at a start. If anything is wrong, the old one stays, whole, and the log has each problem with its place.
 * Otherwise every thread takes over what it can (`LiveSettings`); what needs a restart is named.
 */
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../front-end/config-schema.ts';
import { withSettings } from '../front-end/in-force.ts';
import { liveLimits, liveSettings, type LiveSettings } from '../front-end/live-settings.ts';
import type { ReloadCell } from '../front-end/reload-cell.ts';
import type { ReloadReport } from '../front-end/server-actions.ts';
import { ConfigError } from './config/config.ts';
import type { CurrentLogLevel } from './log-level.ts';

export interface ReloadOptions {
  /** The configuration that the server was started with. */
  readonly config: Config;
  /** @throws ConfigError */
  readonly load: () => Config;
  readonly apply: (settings: LiveSettings, before: Config) => void;
  readonly logLevel: CurrentLogLevel;
  readonly log: {
    isLevelEnabled(level: 'info'): boolean;
    info(details: object, message: string): void;
    warn(details: object, message: string): void;
    error(details: object, message: string): void;
  };
  readonly cell: ReloadCell;
}

const liveKeys: readonly string[] = [
  'tokens',
  'accounts',
  'backup',
  'http.cors_origins',
  'http.tls',
  'resp.tls',
  'log',
  ...liveLimits.map((name) => `limits.${name}`),
];

export class Reload {
  readonly #options: ReloadOptions;
  #inForce: Config;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#inForce = options.config;
  }

  run(): ReloadReport {
    const { config, load, apply, log, logLevel, cell } = this.#options;
    const next = loaded(load);
    const problems = 'problems' in next ? next.problems : whyNot(config, next);
    if ('problems' in next || problems.length > 0) {
      log.error({ problems }, 'The configuration was not reloaded, the old one stays in force');
      cell.set(false);
      return { problems };
    }
    const before = this.#inForce;
    const settings = liveSettings(next);
    this.#inForce = withSettings(before, settings);
    apply(settings, before);
    cell.set(true);
    const changed = differences(before, this.#inForce);
    const restart = changesForRestart(config, next);
    const tell = (): void =>
      log.info(
        { changed, tokens: next.tokens.length, accounts: next.accounts.length },
        'The configuration was reloaded',
      );
    // By the level that lets it through.
    const told = log.isLevelEnabled('info');
    if (told) tell();
    logLevel.configure(next.log.level);
    if (!told) tell();
    if (restart.length > 0) log.warn({ keys: restart }, `A restart is needed for ${restart.join(', ')}`);
    return { changed, restart };
  }
}

function loaded(load: () => Config): Config | { readonly problems: readonly string[] } {
  try {
    return load();
  } catch (error) {
    if (error instanceof ConfigError) return { problems: error.problems };
    throw error;
  }
}

/** What a running server cannot take over, and a start could. */
function whyNot(old: Config, next: Config): string[] {
  const problems: string[] = [];
  if ((old.tokens.length === 0) !== (next.tokens.length === 0))
    problems.push('tokens: whether there are any changes only with a restart');
  for (const [name, files] of [
    ['http.tls', next.http.tls],
    ['resp.tls', next.resp.tls],
  ] as const) {
    if (files === undefined) continue;
    try {
      createSecureContext(files);
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return problems;
}

/** Names the keys that differ from what the server was started with, and are not taken over while it runs. */
export function changesForRestart(old: Config, next: Config): string[] {
  // A server cannot begin or end to speak TLS.
  const began = (['http', 'resp'] as const).filter(
    (section) => (old[section].tls === undefined) !== (next[section].tls === undefined),
  );
  return [...differences(old, next).filter((name) => !isLive(name)), ...began.map((section) => `${section}.tls`)];
}

/** Names the keys that differ. */
function differences(old: Config, next: Config): string[] {
  const before = flat(old);
  const after = flat(next);
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names.filter((name) => !isDeepStrictEqual(before.get(name), after.get(name)));
}

function isLive(name: string): boolean {
  return liveKeys.some((key) => name === key || name.startsWith(`${key}.`));
}

function flat(value: object, prefix = ''): Map<string, unknown> {
  const all = new Map<string, unknown>();
  for (const [key, member] of Object.entries(value) as [string, unknown][]) {
    const name = prefix + key;
    if (typeof member === 'object' && member !== null && !Array.isArray(member))
      for (const [inner, one] of flat(member, `${name}.`)) all.set(inner, one);
    else all.set(name, member);
  }
  return all;
}
