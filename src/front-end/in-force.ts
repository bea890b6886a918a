/**
 * The configuration that a front end goes by: as the server was started, with what reloads have changed since. Keys that
 * need a restart stay as they were.
 */
import type { Config } from './config-schema.ts';
import type { LiveSettings } from './live-settings.ts';

export class InForce {
  #config: Config;

  constructor(config: Config) {
    this.#config = config;
  }

  get config(): Config {
    return this.#config;
  }

  replace(settings: LiveSettings): void {
    this.#config = withSettings(this.#config, settings);
  }
}

/** A server cannot begin or end to speak TLS, so only other files replace those of before. */
export function withSettings(config: Config, settings: LiveSettings): Config {
  const { tokens, accounts, limits, corsOrigins, httpTls, respTls, log, backup } = settings;
  const { http, resp } = config;
  return {
    ...config,
    tokens: [...tokens],
    accounts: [...accounts],
    limits: { ...config.limits, ...limits },
    http: { ...http, cors_origins: [...corsOrigins], ...(http.tls && httpTls && { tls: httpTls }) },
    resp: { ...resp, ...(resp.tls && respTls && { tls: respTls }) },
    log,
    backup,
  };
}
