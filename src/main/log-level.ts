/** The level of the log: the configured one, or for a while another (`PUT /admin/log-level`). */
import type { After } from '../shared/clock.ts';
import type { LogLevel } from '../shared/log-levels.ts';

export interface LogLevelOptions {
  readonly log: { level: string; isLevelEnabled(level: 'info'): boolean; info(message: string): void };
  readonly configured: LogLevel;
  readonly after: After;
}

export class CurrentLogLevel {
  readonly #options: LogLevelOptions;
  #configured: LogLevel;
  #endChange: (() => void) | undefined;

  constructor(options: LogLevelOptions) {
    this.#options = options;
    this.#configured = options.configured;
  }

  get configured(): LogLevel {
    return this.#configured;
  }

  /** A reload has read it. It holds at once, and ends a change. */
  configure(level: LogLevel): void {
    this.#endChange?.();
    this.#endChange = undefined;
    this.#configured = level;
    this.#options.log.level = level;
  }

  /** Another level for `forMs`. A later change takes its place. */
  change(level: LogLevel, forMs: number): void {
    this.#endChange?.();
    this.#tell(level, `The log level is ${level} for ${forMs / 1000} s`);
    this.#endChange = this.#options.after(forMs, () => {
      this.#endChange = undefined;
      this.#tell(this.#configured, `The log level is ${this.#configured} again`);
    });
  }

  /** The line is written by the level that lets it through. */
  #tell(level: LogLevel, message: string): void {
    const { log } = this.#options;
    const told = log.isLevelEnabled('info');
    if (told) log.info(message);
    log.level = level;
    if (!told) log.info(message);
  }
}
