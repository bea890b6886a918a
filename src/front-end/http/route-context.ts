/** The context that all routes share. `buildApp` makes it once. */
import type { Limits } from '../../shared/limits.ts';
import type { Dispatcher } from '../../router/dispatcher.ts';
import type { ReplyContext } from './exchange.ts';
import type { AccountCounts } from '../../router/account-counts.ts';
import type { RateLimiter } from '../rate-limiter.ts';

/** `starting`: recovery runs. `draining`: SIGTERM came. In both states no data call is served. */
export interface Lifecycle {
  state(): 'starting' | 'serving' | 'draining';
}

/** The part of a pino logger that a front end uses. */
export interface FrontEndLog {
  error(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface RouteContext extends ReplyContext {
  readonly dispatcher: Dispatcher;
  readonly limits: Limits;
  readonly lifecycle: Lifecycle;
  readonly version: string;
  readonly rateLimiter: RateLimiter;
  readonly accounts: AccountCounts;
  readonly log: FrontEndLog;
}
