/** What all connections of one door share. */
import type { RouteContext } from '../http/route-context.ts';
import type { TokenIndex } from '../access.ts';
import type { CommandSpec } from './command.ts';
import type { RespConnection } from './connection.ts';
import type { ScanCursors } from './scan-cursors.ts';

export interface RespContext
  extends Pick<
    RouteContext,
    | 'dispatcher'
    | 'limits'
    | 'lifecycle'
    | 'rateLimiter'
    | 'accounts'
    | 'metrics'
    | 'unread'
    | 'arriving'
    | 'turns'
    | 'serverTime'
    | 'version'
    | 'boot'
    | 'log'
    | 'nextRequestId'
  > {
  /** Absent: there are no tokens, and every client may do everything. */
  readonly tokens: TokenIndex | undefined;
  readonly commands: ReadonlyMap<string, CommandSpec>;
  readonly connections: ReadonlySet<RespConnection>;
  readonly cursors: ScanCursors;
  /** Bytes of replies that one client may leave unread. */
  readonly unreadBytesMax: number;
  readonly port: () => number;
  nextClientId(): number;
}
