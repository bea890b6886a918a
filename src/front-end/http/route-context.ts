/** The context that all routes share. `buildApp` makes it once. */
import type { Limits } from '../../shared/limits.ts';
import type { BackupCells } from '../../backup/backup-cells.ts';
import type { SharedCount } from '../../shared/shared-count.ts';
import type { Quotas } from '../../protocol/quotas.ts';
import type { Dispatcher } from '../../router/dispatcher.ts';
import type { ReplyContext } from './exchange.ts';
import type { AccountCounts } from '../../router/account-counts.ts';
import type { ArrivingBodies } from './body.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { TokenTable } from '../access.ts';
import type { Machines } from '../machines.ts';
import type { InForce } from '../in-force.ts';
import type { ReloadCell } from '../reload-cell.ts';
import type { SharedTaskCounts } from '../task-metrics.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import type { ScriptExecutor } from '../../scripts/executor.ts';
import type { RequestTurns } from './request-turns.ts';
import type { TargetPolicy } from '../../shared/target-policy.ts';
import type { Cors } from './cors.ts';
import type { HeadCheck } from './head-check.ts';

/** `starting`: recovery runs. `draining`: SIGTERM came. In both states no data call is served. */
export interface Lifecycle {
  state(): 'starting' | 'serving' | 'draining';
  /** Calls `run` once when the server is not starting any more. Returns a function that cancels it. */
  onceStarted(run: () => void): () => void;
}

/** The part of a pino logger that a front end uses. */
export interface FrontEndLog {
  error(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface RouteContext extends ReplyContext {
  readonly dispatcher: Dispatcher;
  readonly limits: Limits;
  readonly quotas: Quotas;
  readonly checkHead: HeadCheck;
  readonly cors: Cors;
  readonly lifecycle: Lifecycle;
  readonly version: string;
  readonly tokens: TokenTable;
  readonly machines: Machines;
  readonly rateLimiter: RateLimiter;
  readonly accounts: AccountCounts;
  readonly log: FrontEndLog;
  /** Milliseconds since the Unix epoch as the server counts them, see shared/clock.ts. */
  readonly serverTime: () => number;
  /** Of the server, for threads that read bodies. */
  readonly clock: SharedArrayBuffer;
  readonly lostLogLines: SharedCount;
  readonly reload: ReloadCell;
  /** What the dispatcher counts. */
  readonly taskCounts: SharedTaskCounts;
  readonly dataDirectory: string;
  readonly inForce: InForce;
  /** Absent: no backups are made. */
  readonly backup: BackupCells | undefined;
  readonly arriving: ArrivingBodies;
  readonly turns: RequestTurns;
  /** Where tasks may send requests. */
  readonly targets: TargetPolicy;
  readonly newSecret: () => string;
  /** Absent: scripts are not run. */
  readonly scripts: ScriptExecutor | undefined;
  /** Absent: requests read large bodies themselves. */
  readonly largeBodies: LargeBodies | undefined;
}
